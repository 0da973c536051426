// Photos that are not in a data set: captioned by both models, here and now.
import { announce, h } from '../dom.js';
import { request } from '../api.js';
import { field, problemBox } from '../parts.js';
import { number, t } from '../i18n.js';
import { pair } from './pair.js';

/** The section; models() says which two; show() asks again. */
export function ownPhotos(models) {
  const input = h('input', { type: 'file', accept: 'image/*', multiple: true, onchange: () => add() });
  const list = h('div.pairs', {});
  const hint = h('p.notice', {}, t('compare.needsTwo'));
  const section = h('section.card.stack', { 'aria-label': t('compare.photos') }, h('h2', {}, t('compare.photos')), hint,
    field(t('compare.pick'), input, t('compare.pickHelp')), list);
  const photos = [];
  return { section, show };

  function add() {
    for (const file of input.files) {
      const photo = { file, url: URL.createObjectURL(file), place: h('div', {}) };
      photos.push(photo);
      list.append(photo.place);
      ask(photo);
    }
    input.value = '';
  }

  function show() {
    hint.hidden = models().length === 2;
    input.disabled = !hint.hidden;
    for (const photo of photos) ask(photo);
  }

  async function ask(photo) {
    const asked = models();
    if (asked.length < 2) return photo.place.replaceChildren();
    const shown = (texts, about) => photo.place.replaceChildren(pair(h('div.thumb', {}, h('img', { src: photo.url, alt: '' })), photo.file.name,
      asked[0].language, asked.map(({ reference }, i) => ({ reference, text: texts[i], about: about[i] }))));
    shown(['', ''], [t('caption.working'), t('caption.working')]);
    try {
      const captions = await Promise.all(asked.map(model => caption(photo.file, model)));
      if (!asked.every((model, i) => model === models()[i])) return undefined;       // others are chosen meanwhile
      shown(captions.map(({ text }) => text), captions.map(confidence));
      announce(`${photo.file.name}: ${captions.map(({ text }) => text).join(' – ')}`);
    } catch (problem) {
      photo.place.replaceChildren(problemBox(problem));
    }
    return undefined;
  }
}

async function caption(file, { reference }) {
  const form = new FormData();
  form.append('photo', file, file.name);
  const asked = new URLSearchParams({ model: reference, count: 1 });
  const answer = await (await request(`captions?${asked}`, { method: 'POST', body: form })).json();
  return answer.results[0].captions[0];
}

const confidence = caption => caption.confidence === null ? t('confidence.none')
  : `${t('models.confidence')} ${number(caption.confidence, 2, 2)}`;
