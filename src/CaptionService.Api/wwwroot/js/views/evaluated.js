// What an evaluation or a comparison found.
import { h } from '../dom.js';
import { problemBox, table } from '../parts.js';
import { number, percent, t } from '../i18n.js';
import { pair } from './pair.js';
import { photoOf } from './photos.js';

const points = value => number(value, 3, 3), share = value => percent(value, 1);
const scores = [['cider', 'CIDEr', points], ['bleu4', 'BLEU-4', points], ['bleu1', 'BLEU-1', points], ['rougeL', 'ROUGE-L', points],
  ['distinct', 'models.distinct', share], ['verbatim', 'models.verbatim', share]];

/** Which model, or which against which. */
export const title = one => one.comparedWith ? t('evaluate.against', { first: one.model, second: one.comparedWith }) : one.model;

/** The outcome in a word. */
export function badge(one) {
  const [kind, text] = one.comparison ? [{ better: 'good', worse: 'bad', unclear: 'fair' }[one.comparison.verdict], t(`evaluate.${one.comparison.verdict}`)]
    : one.result ? ['good', `CIDEr ${points(one.result.scores.cider)}`]
    : [one.state === 'failed' ? 'bad' : 'fair', t(`evaluate.${one.state}`)];
  return h(`span.badge.${kind}`, {}, text);
}

/** Everything of one that has ended, over its data set where that is still there. */
export function evaluated(one, dataset) {
  if (one.error) return [problemBox({ title: t('evaluate.failed'), detail: one.error })];
  const lang = dataset?.language ?? 'en', head = h('div.head', {}, h('h3', {}, title(one)), badge(one));
  return one.comparison ? [head, ...compared(one.dataset, lang, one.comparison)] : [head, ...scored(one.dataset, lang, one.model, one.result)];
}

function compared(dataset, lang, { first, second, firstScores, secondScores, sentence, apart }) {
  const side = (reference, text, value) => ({ reference, text, about: cider(value) });
  return [h('p', { lang: 'en' }, sentence), figures([first, second], [firstScores, secondScores]),
    ...(apart?.length > 0 ? [h('h3', {}, t('evaluate.apart')), h('div.pairs', {}, apart.map(photo => pair(photoOf(dataset, photo.photo), photo.photo, lang,
      [side(first, photo.first, photo.firstCider), side(second, photo.second, photo.secondCider)])))] : [])];
}

function scored(dataset, lang, model, result) {
  const card = photo => h('li', {}, photoOf(dataset, photo.photo), h('div', {}, h('p.fine', {}, `${photo.photo} · ${cider(photo.cider)}`),
    h('p', { lang }, photo.caption), h('p.fine', { lang }, (photo.references ?? []).join(' · '))));
  return [figures([model], [result.scores]),
    h('h3', {}, t('evaluate.best')), h('ul.gallery', {}, result.best.map(card)),
    h('h3', {}, t('evaluate.worst')), h('ul.gallery', {}, result.worst.map(card))];
}

// A row for each score; of two models also the difference.
function figures(models, all) {
  const difference = (one, other, text) => {
    const size = text(Math.abs(one - other));
    return size === text(0) ? size : `${one > other ? '+' : '−'}${size}`;
  };
  return table(t('models.scores'), [t('models.scores'), ...models, ...(models.length === 2 ? [t('evaluate.difference')] : [])],
    scores.filter(([key]) => all.every(each => key in each)).map(([key, name, text]) =>
      [t(name), ...all.map(each => text(each[key])), ...(all.length === 2 ? [difference(all[0][key], all[1][key], text)] : [])]), 1);
}

const cider = value => `CIDEr ${number(value, 2, 2)}`;
