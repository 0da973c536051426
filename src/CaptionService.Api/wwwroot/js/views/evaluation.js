// Models on a data set: one scored, or two compared, in the background; what was asked before can be opened again.
import { announce, h } from '../dom.js';
import { get, send } from '../api.js';
import { busy, field, problemBox, table } from '../parts.js';
import { t, when } from '../i18n.js';
import { badge, evaluated, title } from './evaluated.js';

/** The section; models() says which one or two; show() takes up another choice. */
export function evaluation(models) {
  const data = h('select', {}), problem = h('div', {}), result = h('div.stack.result', {}), before = h('div', {});
  const button = h('button.primary', {}, t('evaluate.one'));
  const form = h('form.stack', { onsubmit: event => { event.preventDefault(); busy(button, problem, start); } },
    h('div.fields', {}, field(t('training.dataset'), data, t('evaluate.datasetHelp'))), problem, h('div.row', {}, button));
  const none = h('p', {}, t('evaluate.noDatasets'), ' ', h('a', { href: '#datasets' }, t('nav.datasets')));
  const section = h('section.card.stack', { hidden: true, 'aria-label': t('evaluate.title') },
    h('h2', {}, t('evaluate.title')), form, none, result, before);
  let datasets = [];
  load();
  return { section, show };

  // With a key that may not train there is nothing to choose from.
  async function load() {
    try {
      ({ datasets } = await get('datasets?limit=200'));
      show();
      await earlier();
      section.hidden = false;
    } catch (failure) {
      if (failure.status !== 403) section.parentElement.append(problemBox(failure));
    }
  }

  function show() {
    const [model, other] = models(), kept = data.value;
    const fitting = datasets.filter(one => one.status === 'ready' && subtag(one.language) === subtag(model.language));
    data.replaceChildren(...fitting.map(one =>
      h('option', { value: one.id, selected: one.id === kept }, `${one.name} (${t('datasets.photos', { n: one.devPhotos })})`)));
    [form.hidden, none.hidden] = [fitting.length === 0, fitting.length > 0];
    button.textContent = other ? t('evaluate.two') : t('evaluate.one');
    result.replaceChildren();
  }

  async function start() {
    const asked = models().map(({ reference }) => reference);
    await follow(asked.length === 2
      ? await send('POST', 'evaluations/compare', { models: asked, dataset: data.value })
      : await send('POST', 'evaluations', { model: asked[0], dataset: data.value }));
    await earlier();
  }

  async function follow(one) {
    while (['queued', 'running'].includes(one.state) && section.isConnected) {
      result.replaceChildren(h('p.pending', {}, t(`evaluate.${one.state}`)), h('progress', { 'aria-label': t('evaluate.running') }));
      await new Promise(resolve => setTimeout(resolve, 1000));
      one = await get(`evaluations/${one.id}`);
    }
    result.replaceChildren(...evaluated(one, datasets.find(set => set.id === one.dataset)));
    announce(`${title(one)}: ${badge(one).textContent}`);
  }

  async function earlier() {
    const { evaluations } = await get('evaluations?limit=10');
    const name = one => datasets.find(set => set.id === one.dataset)?.name ?? one.dataset;
    const rows = evaluations.map(one => [title(one), name(one), when(one.createdAt), badge(one), again(one)]);
    before.replaceChildren(...(rows.length === 0 ? [] : [h('details', {}, h('summary', {}, t('evaluate.before')),
      table(t('evaluate.before'), [t('models.title'), t('training.dataset'), t('evaluate.asked'), t('models.state'), ''], rows))]));
  }

  function again(one) {
    const button = h('button.small', {
      type: 'button', 'aria-label': `${t('evaluate.show')}: ${title(one)}, ${when(one.createdAt)}`,
      onclick: () => busy(button, problem, () => follow(one)),
    }, t('evaluate.show'));
    return button;
  }
}

const subtag = language => language.split('-')[0].toLowerCase();
