// The models and their versions: how good they are, which are in service.
import { h } from '../dom.js';
import { download, get, send, upload } from '../api.js';
import { lineChart } from '../chart.js';
import { busy, empty, field, problemBox } from '../parts.js';
import { languageName, number, percent, t, when } from '../i18n.js';
import compareModels from './compareModels.js';

export default function models(main, [verb, ...which]) {
  if (verb === 'compare') return compareModels(main, which);
  const place = h('div', {});
  const list = h('div.stack', {});
  main.append(h('div.head', {}, h('h1', {}, t('models.title')), h('a.button', { href: '#models/compare' }, t('compare.title'))), place, list, addModel(() => load(list)));
  load(list);
  return undefined;
}

async function load(list) {
  try {
    const { models: all } = await get('models');
    list.replaceChildren(...(all.length === 0 ? [empty(t('models.loading'), t('models.loadingHelp'))] : all.map(model => card(model, () => load(list)))));
  } catch (problem) {
    list.replaceChildren(problemBox(problem));
  }
}

function card(model, reload) {
  const place = h('div', {});
  const rollback = h('button', { type: 'button', onclick: () => busy(rollback, place, async () => { await send('POST', `models/${encodeURIComponent(model.name)}/rollback`); await reload(); }) }, t('models.rollback'));
  const active = model.versions.some(version => version.active);
  return h('article.card.model', { 'aria-label': model.name },
    h('div.head', {}, h('h2', {}, model.name), h('span.badge', {}, languageName(model.language)), model.default ? h('span.badge.good', {}, t('models.default')) : null, active && model.versions.some(version => !version.shipped) ? rollback : null),
    h('p.fine', {}, t('models.about', { architecture: model.architecture, words: model.vocabularySize, photos: model.training.photos ?? 0, captions: model.training.captions ?? 0 })),
    place,
    h('div.halves', {},
      h('div', {}, h('h3', {}, t('models.scores')), scores(model), h('p.fine', {}, t('models.scoresHelp'))),
      reliability(model)),
    h('div.scroll', { tabindex: '0', role: 'region', 'aria-label': t('models.versions') }, h('table', {},
      h('thead', {}, h('tr', {}, [t('models.version'), t('models.state'), 'CIDEr', t('models.added'), t('models.from'), t('models.actions')].map(text => h(text === 'CIDEr' ? 'th.number' : 'th', { scope: 'col' }, text === t('models.actions') ? h('span.hidden', {}, text) : text)))),
      h('tbody', {}, [...model.versions].reverse().map(version => row(version, place, reload))))));
}

function row(version, place, reload) {
  const path = `models/${encodeURIComponent(version.name)}/versions/${version.version}`;
  const act = (label, work, kind = 'button.small') => {
    const button = h(kind, { type: 'button', 'aria-label': `${label}: ${version.name}@${version.version}`, onclick: () => busy(button, place, work) }, label);
    return button;
  };
  return h('tr', {},
    h('th', { scope: 'row' }, `${version.version}`),
    h('td', {}, version.active ? h('span.badge.good', {}, t('models.active')) : '–'),
    h('td.number', {}, version.scores.cider === undefined ? '–' : number(version.scores.cider, 3, 3)),
    h('td', {}, when(version.createdAt)),
    h('td', {}, version.shipped ? t('models.shipped') : version.job ? h('a', { href: `#training/${version.job}` }, t('models.job')) : t('models.uploaded')),
    h('td', {}, h('div.row.end', {},
      version.active ? null : act(t('models.activate'), async () => { await send('POST', `${path}/activate`); await reload(); }),
      h('a.button.small', { href: `#models/compare/${encodeURIComponent(`${version.name}@${version.version}`)}`, 'aria-label': `${t('models.evaluate')}: ${version.name}@${version.version}` }, t('models.evaluate')),
      act(t('models.download'), () => download(`${path}/download`, `${version.name}-${version.version}.zip`)),
      version.active || version.shipped ? null : act(t('delete'), async () => {
        if (!confirm(t('models.deleteSure', { name: `${version.name}@${version.version}` }))) return;
        await send('DELETE', path);
        await reload();
      }, 'button.small.danger'))));
}

function scores(model) {
  const names = { cider: 'CIDEr', bleu4: 'BLEU-4', bleu1: 'BLEU-1', rougeL: 'ROUGE-L' };
  const shares = { distinct: t('models.distinct'), verbatim: t('models.verbatim') };
  return h('dl.figures', {},
    Object.entries(names).filter(([key]) => key in model.scores).map(([key, name]) => h('div', {}, h('dt', {}, name), h('dd', {}, number(model.scores[key], 3, 3)))),
    Object.entries(shares).filter(([key]) => key in model.scores).map(([key, name]) => h('div', {}, h('dt', {}, name), h('dd', {}, percent(model.scores[key])))));
}

function reliability(model) {
  const check = model.calibration?.crossCheck ?? model.calibration?.check;
  if (!check) return h('div', {}, h('h3', {}, t('models.reliability')), h('p.fine', {}, model.whyNoConfidence ?? ''));
  return h('div', {},
    lineChart({
      title: t('models.reliability'), xTitle: t('models.confidence'), from: [0, 1], to: [0, 1], dots: true, diagonal: true,
      series: [{ name: t('models.right'), kind: 'a', points: check.bins.map(bin => [bin.confidence, bin.right]) }],
    }),
    h('p.fine', {}, t('models.reliabilityHelp', { ece: number(check.ece, 3), captions: check.captions, auroc: number(check.auroc, 2) })));
}

function addModel(reload) {
  const file = h('input', { type: 'file', accept: '.zip', required: true });
  const place = h('div', {}), bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': t('upload.progress') });
  const button = h('button', {}, t('models.upload'));
  return h('form.card', { onsubmit: event => { event.preventDefault(); busy(button, place, send); } },
    h('h2', {}, t('models.add')), field(t('models.bundle'), file, t('models.bundleHelp')), place, h('div.row', {}, button, bar));

  async function send() {
    const form = new FormData();
    form.append('bundle', file.files[0]);
    bar.hidden = false;
    try {
      await upload('models', form, share => { bar.value = share; });
    } finally {
      bar.hidden = true;
    }
    await reload();
  }
}
