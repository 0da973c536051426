// One photo: its thumbnail at once, then its captions or its problem.
import { h } from '../dom.js';
import { explained, copyButton, problemBox } from '../parts.js';
import { languageName, number, percent, t } from '../i18n.js';
import { drawAttention } from './attention.js';
import { correction } from './correct.js';
import { alt, csharp, curl } from './snippets.js';
import { captionTree } from './tree.js';
import { sentence } from './words.js';

/** The card of a photo: { name, url, state, answer, problem, query }. */
export function captionCard(photo, again, remove, kept) {
  const overlay = h('canvas', { 'aria-hidden': 'true' });
  const spoken = h('p.looking', { 'aria-hidden': 'true' });
  const picture = h('div.photo', {}, h('img', { src: photo.url, alt: best(photo) ?? photo.name, onerror: event => event.target.replaceWith(h('div.noimage', {}, t('caption.noPreview'))) }), overlay, spoken);
  return h(`article.card.${photo.state}`, { 'aria-label': photo.name, 'aria-busy': String(photo.state === 'waiting' || photo.state === 'working') },
    picture, h('div.told', {}, body(photo, look, again, kept), foot(photo, remove)));

  function look(word) {
    const shown = word?.attention !== undefined;
    if (shown) drawAttention(overlay, word.attention);
    overlay.classList.toggle('shown', shown);
    spoken.classList.toggle('shown', word !== null);
    if (word) spoken.textContent = `${word.text} · ${percent(word.probability)}`;
  }
}

/** A caption's text, or why it has none. */
export const told = caption => caption.reason ? t(`caption.${caption.reason}`) : caption.text;

const best = photo => photo.answer?.results[0].captions[0]?.text || undefined;

function body(photo, look, again, kept) {
  if (photo.state === 'waiting' || photo.state === 'working') return h('p.pending', {}, t(`caption.${photo.state}`));
  if (photo.state === 'refused') return [problemBox(photo.problem), photo.problem.status > 0 && photo.problem.status < 429 ? null : h('button.small', { type: 'button', onclick: again }, t('again'))];
  const { captions } = photo.answer.results[0];
  return photo.answer.models.map(model => {
    const own = captions.filter(caption => caption.language === model.language);
    const [first, ...others] = own;
    if (!first) return null;
    return h('section.told-language', {},
      photo.answer.models.length > 1 ? h('h3', {}, languageName(model.language)) : null,
      h('div.first', {}, said(first), confidence(first, model)),
      h('div.row', {}, first.reason ? null : copyButton(t('copy.text'), first.text), copyButton(t('copy.alt'), alt(first.text)),
        correction(photo, first, kept)),
      others.length > 0 ? h('ol', { start: 2 }, others.map(caption => h('li', {}, h('div.other', {}, said(caption), confidence(caption, model))))) : null,
      own.length > 1 && own.every(caption => caption.words) ? captionTree(own) : null);
  });

  function said(caption) {
    return caption.reason ? h('p.withheld', {}, told(caption)) : sentence(caption, look);
  }
}

function confidence(caption, model) {
  const value = caption.confidence;
  if (value === null) return explained('confidence.none', t('confidence.none'), model.whyNoConfidence ?? '');
  const word = value < 0.1 ? 'guess' : value < 0.3 ? 'low' : value < 0.45 ? 'fair' : 'good';
  return explained(`confidence.${word}`, [t(`confidence.${word}`), ' ', h('b', {}, number(value, 2, 2))], t('confidence.means', { n: Math.round(value * 100) }));
}

function foot(photo, remove) {
  const { width, height } = photo.answer?.results[0] ?? {};
  const made = photo.answer?.models.map(model => `${model.name}@${model.version}`).join(', ');
  return h('div.foot', {},
    h('p.fine', {}, h('span.name', {}, photo.name), width ? ` · ${width}×${height} · ${made}` : null),
    h('div.row', {},
      photo.state === 'done' ? [copyButton('curl', curl(photo.name, photo.query)), copyButton('C#', csharp(photo.name, photo.query))] : null,
      h('button.small', { type: 'button', 'aria-label': t('caption.removeNamed', { name: photo.name }), onclick: remove }, t('caption.remove'))));
}
