// The frame: header, views by the address's #hash, language.
import { h } from './dom.js';
import { choose, current, languages, t } from './i18n.js';
import caption from './views/caption.js';
import datasets from './views/datasets.js';
import models from './views/models.js';
import operate from './views/operate.js';
import training from './views/training.js';

const views = { caption, models, datasets, training, operate };
const main = h('main', { id: 'main', tabindex: '-1' });
let leave = null;

function frame() {
  document.documentElement.lang = current();
  document.body.replaceChildren(
    h('a.skip', { href: '#main', onclick: event => { event.preventDefault(); main.focus(); } }, t('skip')),
    h('header', {},
      h('a.brand', { href: '#caption' }, h('img', { src: 'favicon.svg', alt: '', width: 28, height: 28 }), h('span', {}, 'Caption Service')),
      h('nav', { 'aria-label': t('nav') }, Object.keys(views).map(name => h('a', { href: `#${name}` }, t(`nav.${name}`)))),
      h('div.aside', {},
        h('a', { href: 'swagger/' }, 'API'),
        h('select', { 'aria-label': t('language'), onchange: event => { choose(event.target.value); frame(); show(); } },
          Object.entries(languages).map(([tag, name]) => h('option', { value: tag, lang: tag, selected: tag === current() }, name))))),
    main,
    h('div', { id: 'announcements', role: 'status', class: 'hidden' }));
}

function show() {
  const [name, ...rest] = location.hash.slice(1).split('/').map(decodeURIComponent);
  const view = name in views ? name : 'caption';
  leave?.();
  for (const link of document.querySelectorAll('nav a')) {
    const here = link.getAttribute('href') === `#${view}`;
    if (here) { link.setAttribute('aria-current', 'page'); link.scrollIntoView({ block: 'nearest', inline: 'center' }); } else link.removeAttribute('aria-current');
  }
  document.title = `${t(`nav.${view}`)} – Caption Service`;
  main.className = view;
  main.replaceChildren();
  leave = views[view](main, rest) ?? null;       // a view returns what ends it, where it has something to end
}

frame();
show();
addEventListener('hashchange', () => { show(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
