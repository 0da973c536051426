// A new training job: data set, preset, and every option of GET /training-presets with its range and help.
import { h } from '../dom.js';
import { get, send } from '../api.js';
import { busy, field, problemBox } from '../parts.js';
import { languageName, t } from '../i18n.js';

export function newJob(dataset, open) {
  const body = h('div', {});
  const panel = h('details.card.new', { open, ontoggle: () => panel.open && body.childElementCount === 0 && fill() }, h('summary', {}, t('training.new')), body);
  if (open) fill();
  return panel;

  async function fill() {
    try {
      const [{ presets }, { datasets }] = await Promise.all([get('training-presets'), get('datasets?limit=200')]);
      body.replaceChildren(form(presets, datasets.filter(one => one.status === 'ready'), dataset));
    } catch (problem) {
      body.replaceChildren(problemBox(problem));
    }
  }
}

function form(presets, datasets, chosen) {
  if (datasets.length === 0) return h('p', {}, t('training.noDatasets'), ' ', h('a', { href: '#datasets' }, t('nav.datasets')));
  const data = h('select', {}, datasets.map(one => h('option', { value: one.id, selected: one.id === chosen }, `${one.name} (${languageName(one.language)}, ${t('datasets.photos', { n: one.photos })})`)));
  const name = h('input', { type: 'text', pattern: '[a-z0-9][a-z0-9._\\-]{0,63}', maxlength: 64, autocomplete: 'off' });
  const minutes = h('input', { type: 'number', min: 0.01, max: 100000, step: 'any' });
  const better = h('input', { type: 'checkbox', checked: true });
  const options = h('div', {}), place = h('div', {});
  const radios = presets.map(preset => h('input', { type: 'radio', name: 'preset', value: preset.name, checked: preset.name === 'quick', onchange: show }));
  const button = h('button.primary', {}, t('training.start'));
  let inputs = [];
  show();
  return h('form', { onsubmit: event => { event.preventDefault(); busy(button, place, submit); } },
    h('div.fields', {}, field(t('training.dataset'), data)),
    h('fieldset.presets', {}, h('legend', {}, t('training.preset')), presets.map((preset, i) => h('label.preset', {}, radios[i], h('span', {}, h('strong', {}, preset.name), h('span.fine', { lang: 'en' }, preset.description))))),
    h('div.fields', {}, field(t('training.name'), name, t('training.nameHelp')), field(t('training.minutes'), minutes, t('training.minutesHelp'))),
    h('label.row.check', {}, better, t('training.activateIfBetter')),
    h('details', {}, h('summary', {}, t('training.options')), options),
    place, h('div.row', {}, button));

  function preset() {
    return presets[radios.findIndex(radio => radio.checked)];
  }

  function show() {
    const { startsFromActive } = preset();
    inputs = preset().options.filter(option => !(startsFromActive && option.ofNetwork)).map(option => [option, control(option)]);
    options.replaceChildren(h('p.fine', {}, t('training.optionsHelp')), h('div.fields', {}, inputs.map(([option, input]) =>
      field(option.name, input, h('span', { lang: 'en' }, `${option.description} ${about(option)}`)))));
  }

  async function submit() {
    const changed = inputs.filter(([option, input]) => value(option, input) !== option.default).map(([option, input]) => [option.name, value(option, input)]);
    const job = await send('POST', 'training-jobs', {
      dataset: data.value, preset: preset().name, name: name.value || null, activateIfBetter: better.checked,
      budget: minutes.value ? { minutes: Number(minutes.value) } : null, options: Object.fromEntries(changed),
    });
    location.hash = `training/${job.id}`;
  }
}

function control(option) {
  if (option.type === 'boolean') return h('select', {}, [true, false].map(choice => h('option', { value: choice, selected: choice === option.default }, `${choice}`)));
  if (option.type === 'string') return h('select', {}, option.values.map(choice => h('option', { value: choice, selected: choice === option.default }, choice)));
  return h('input', { type: 'number', min: option.minimum, max: option.maximum, step: option.type === 'integer' ? 1 : 'any', value: option.default, required: true });
}

const value = (option, input) => option.type === 'boolean' ? input.value === 'true' : option.type === 'string' ? input.value : Number(input.value);

const about = option => [option.minimum === undefined ? null : `${option.minimum} – ${option.maximum}${option.unit ? ` ${option.unit}` : ''}.`, `Default: ${option.default}.`].filter(Boolean).join(' ');
