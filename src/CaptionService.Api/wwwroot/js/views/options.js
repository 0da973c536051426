// The options of POST /captions as controls. A test holds the table to the service's own.
import { h, newId } from '../dom.js';
import { languageName, number, t } from '../i18n.js';

/** Name, range, default and step of each number. */
export const numbers = [
  { name: 'count', min: 1, max: 16, default: 3, step: 1 },
  { name: 'beamWidth', min: 1, max: 16, default: 10, step: 1 },
  { name: 'maxLength', min: 1, max: 50, default: 20, step: 1 },
  { name: 'minLength', min: 1, max: 50, default: 1, step: 1 },
  { name: 'lengthNormalization', min: 0, max: 2, default: 1, step: 0.1 },
  { name: 'diversity', min: 0, max: 5, default: 0, step: 0.1 },
];

/** What is chosen; kept while the page is open, the languages longer. */
export const chosen = { languages: JSON.parse(localStorage.getItem('captionLanguages') ?? 'null'), model: '', style: 'sentence', alt: false };

/** The query of POST /captions: only what differs from the defaults, so that what is copied stays short. */
export function query(extra = {}) {
  const parts = new URLSearchParams();
  for (const language of chosen.languages ?? []) parts.append('language', language);
  for (const option of numbers) if (chosen[option.name] !== undefined && chosen[option.name] !== option.default) parts.set(option.name, chosen[option.name]);
  if (chosen.model) parts.set('model', chosen.model);
  if (chosen.alt) parts.set('purpose', 'alt');
  if (chosen.style !== 'sentence') parts.set('style', chosen.style);
  for (const [name, value] of Object.entries(extra)) parts.set(name, value);
  return parts.toString();
}

/** Languages as checkboxes: at least one stays chosen. */
export function languageChoice(models, changed) {
  const there = [...new Set(models.filter(model => model.versions.some(version => version.active)).map(model => model.language))];
  const known = (chosen.languages ?? []).filter(language => there.includes(language));
  const preferred = there.find(language => navigator.languages.some(tag => tag.startsWith(language)));
  chosen.languages = known.length > 0 ? known : [preferred ?? there[0]].filter(Boolean);
  const boxes = there.map(language => h('label.chip', {},
    h('input', { type: 'checkbox', value: language, checked: chosen.languages.includes(language), onchange: choose }), languageName(language)));
  return h('fieldset.chips', {}, h('legend', {}, t('caption.languages')), boxes);

  function choose(event) {
    const ticked = boxes.map(box => box.firstChild).filter(box => box.checked).map(box => box.value);
    if (ticked.length === 0) {
      event.target.checked = true;
      return;
    }
    chosen.languages = ticked;
    localStorage.setItem('captionLanguages', JSON.stringify(ticked));
    changed();
  }
}

/** Whether the text is to stand for the photo. */
export function altSwitch(changed) {
  const id = newId();
  const box = h('input', { type: 'checkbox', checked: chosen.alt, 'aria-describedby': id, onchange: () => { chosen.alt = box.checked; changed(); } });
  return h('div.alt', {}, h('label.chip', {}, box, t('caption.alt')), h('span.fine', { id }, t('caption.alt.help')));
}

/** The rest, behind a disclosure. */
export function optionPanel(models, changed) {
  const sliders = Object.fromEntries(numbers.map(option => [option.name, slider(option)]));
  const model = h('select', { onchange: () => { chosen.model = model.value; changed(); } },
    h('option', { value: '' }, t('option.model.active')),
    models.flatMap(each => each.versions.map(version => {
      const reference = `${version.name}@${version.version}`;
      return h('option', { value: reference, selected: reference === chosen.model }, `${reference} (${languageName(version.language)})`);
    })));
  const style = h('select', { onchange: () => { chosen.style = style.value; changed(); } },
    ['sentence', 'raw'].map(value => h('option', { value, selected: value === chosen.style }, t(`option.style.${value}`))));
  return h('details.options', {}, h('summary', {}, t('caption.options')),
    h('div.fields', {}, numbers.map(option => sliders[option.name].row), labelled('model', model), labelled('style', style)));

  function slider(option) {
    const id = newId();
    const value = h('output', { for: id });
    const reset = h('button.small', { type: 'button', onclick: () => set(option.default) }, t('option.reset'));
    const input = h('input', { id, name: option.name, type: 'range', min: option.min, max: option.max, step: option.step, 'aria-describedby': `${id}h`, oninput: () => set(Number(input.value)) });
    input.value = chosen[option.name] ?? option.default;
    show();
    return {
      set,
      row: h('div.field', {}, h('div.label', {}, h('label', { for: id }, t(`option.${option.name}`)), value, reset), input,
        h('p.fine', { id: `${id}h` }, `${t(`option.${option.name}.help`)} ${t('option.default', { value: option.default })}`)),
    };

    function set(next) {
      chosen[option.name] = next;
      input.value = next;
      show();
      // What the service would refuse cannot be chosen: the other of a pair gives way.
      const at = name => chosen[name] ?? numbers.find(each => each.name === name).default;
      if (option.name === 'count' && next > at('beamWidth')) sliders.beamWidth.set(next);
      if (option.name === 'beamWidth' && next < at('count')) sliders.count.set(next);
      if (option.name === 'minLength' && next > at('maxLength')) sliders.maxLength.set(next);
      if (option.name === 'maxLength' && next < at('minLength')) sliders.minLength.set(next);
      changed();
    }

    function show() {
      value.textContent = number(Number(input.value));
      reset.hidden = Number(input.value) === option.default;
    }
  }

  function labelled(name, control) {
    control.id = newId();
    return h('div.field', {}, h('label', { for: control.id }, t(`option.${name}`)), control);
  }
}
