// A caption put right, and kept to learn from, where the service keeps feedback.
import { announce, h, newId } from '../dom.js';
import { get, request, send } from '../api.js';
import { busy } from '../parts.js';
import { languageName, t } from '../i18n.js';
import { chosen } from './options.js';

let enabled = false;

/** Asks whether feedback is kept and how much of it there is, and shows that in a place. */
export async function showFeedback(place) {
  try {
    const counts = await Promise.all((chosen.languages ?? []).map(async language => ({ language, ...await get(`feedback?limit=1&language=${language}`) })));
    enabled = counts.some(count => count.enabled);
    const problem = h('div', {});
    place.replaceChildren(...counts.filter(count => count.total > 0).map(count => counted(count, problem)), problem);
  } catch (failure) {
    enabled = failure.status === 403;       // a key that captions may send corrections, but not see them
  }
}

function counted({ language, total }, problem) {
  const button = h('button', { type: 'button', onclick: () => busy(button, problem, async () => {
    const made = await send('POST', 'datasets', { feedback: true, language });
    location.hash = `datasets/${made.id}`;
  }) }, t('correct.dataset'));
  return h('div.row.counted', {}, h('span', {}, `${languageName(language)}: ${t('correct.count', { n: total })}`), button);
}

/** What stands beside a caption's buttons: one more, then a form, then what was kept. Null where nothing is kept. */
export function correction(photo, caption, kept) {
  if (!enabled) return null;
  const place = h('div.correction', {});
  const before = photo.kept?.[caption.language];
  if (before) place.append(note(caption, before)); else place.append(h('button.small', { type: 'button', onclick: edit }, t('correct.edit')));
  return place;

  function edit() {
    const id = newId(), problem = h('div', {});
    const text = h('textarea', { id, rows: 2, maxlength: 500, required: true, lang: caption.language });
    text.value = caption.text;
    const keep = h('button.small.primary', {}, t('correct.keep'));
    place.replaceChildren(h('form', { onsubmit: event => { event.preventDefault(); busy(keep, problem, save); } },
      h('label', { for: id }, t('correct.label')), text, h('p.fine', {}, t('correct.help')), problem, h('div.row', {}, keep)));
    text.focus();

    async function save() {
      const form = new FormData();
      form.append('photo', photo.file, photo.name);
      if (caption.text) form.append('given', caption.text);
      form.append('caption', text.value.replace(/\s+/g, ' '));
      form.append('language', caption.language);
      await request('feedback', { method: 'POST', body: form });
      photo.kept = { ...photo.kept, [caption.language]: text.value };
      place.replaceChildren(note(caption, text.value));
      announce(t('correct.kept'));
      kept();
    }
  }
}

const note = (caption, text) => h('p.fine', {}, `${t('correct.kept')}: `, h('span', { lang: caption.language }, text));
