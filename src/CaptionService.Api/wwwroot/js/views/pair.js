// One photo as two models see it.
import { h } from '../dom.js';
import { marked } from '../differences.js';
import { t } from '../i18n.js';

/** A photo with one or two captions: { reference, text, about }; what only one of two says is marked. */
export function pair(picture, name, language, sides) {
  const texts = sides.length === 2 ? marked(sides[0].text, sides[1].text, language) : sides.map(side => side.text);
  const alike = sides.length === 2 && sides[0].text !== '' && sides[0].text === sides[1].text;
  return h('article.pair', { 'aria-label': name }, picture,
    h('div', {}, h('p.fine', {}, name, alike ? [' ', h('span.badge', {}, t('compare.alike'))] : null),
      h('div.sides', {}, sides.map((side, i) =>
        h('div', {}, h('h3', {}, side.reference), h('p', { lang: language }, texts[i]), h('p.fine', {}, side.about))))));
}
