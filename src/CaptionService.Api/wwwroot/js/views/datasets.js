// Data sets: sent with progress, what the inspection found, their photos as a gallery.
import { h } from '../dom.js';
import { get, send, upload } from '../api.js';
import { busy, empty, field, problemBox } from '../parts.js';
import { bytes, languageName, number, percent, span, t, when } from '../i18n.js';
import { photoOf } from './photos.js';

const page = 24;

export default function datasets(main, [id]) {
  return id ? one(main, id) : all(main);
}

function all(main) {
  const list = h('div.stack', {});
  main.append(h('h1', {}, t('datasets.title')), newDataset(), list);
  load();

  async function load() {
    try {
      const { datasets: found } = await get('datasets?limit=200');
      list.replaceChildren(...(found.length === 0 ? [empty(t('datasets.none'), t('datasets.noneHelp'))] : found.map(line)));
      if (found.some(dataset => dataset.status === 'checking')) setTimeout(() => list.isConnected && load(), 1500);
    } catch (problem) {
      list.replaceChildren(problemBox(problem));
    }
  }
}

const line = dataset => h('article.card.line', {},
  h('div', {}, h('h2', {}, h('a', { href: `#datasets/${dataset.id}` }, dataset.name)),
    h('p.fine', {}, [languageName(dataset.language), t('datasets.photos', { n: dataset.photos }), t('datasets.captions', { n: dataset.captions }), bytes(dataset.bytes), when(dataset.createdAt)].join(' · '))),
  status(dataset));

const status = dataset => h(`span.badge.${{ ready: 'good', checking: 'fair', refused: 'bad' }[dataset.status]}`, {}, t(`datasets.${dataset.status}`));

function newDataset() {
  const archive = h('input', { type: 'file', accept: '.zip,.tar,.gz,.tgz', required: true });
  const captions = h('input', { type: 'file' });
  const name = h('input', { type: 'text', maxlength: 100, autocomplete: 'off' });
  const language = h('input', { type: 'text', value: 'en', required: true, size: 8, maxlength: 35, autocomplete: 'off' });
  const place = h('div', {}), bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': t('upload.progress') });
  const button = h('button.primary', {}, t('datasets.send'));
  return h('details.card.new', {}, h('summary', {}, t('datasets.new')),
    h('form', { onsubmit: event => { event.preventDefault(); busy(button, place, submit); } },
      h('div.fields', {}, field(t('datasets.archive'), archive, t('datasets.archiveHelp')), field(t('datasets.captionFile'), captions, t('datasets.captionFileHelp')),
        field(t('datasets.name'), name, t('datasets.nameHelp')), field(t('datasets.language'), language, t('datasets.languageHelp'))),
      place, h('div.row', {}, button, bar)));

  async function submit() {
    const form = new FormData();
    if (name.value) form.append('name', name.value);
    form.append('language', language.value);
    if (captions.files.length > 0) form.append('captions', captions.files[0]);
    form.append('archive', archive.files[0]);
    bar.hidden = false;
    try {
      const made = await upload('datasets', form, share => { bar.value = share; });
      location.hash = `datasets/${made.id}`;
    } finally {
      bar.hidden = true;
    }
  }
}

function one(main, id) {
  const place = h('div', {}), report = h('div.stack', {});
  main.append(h('p', {}, h('a', { href: '#datasets' }, t('datasets.back'))), report, place);
  load();

  async function load() {
    try {
      const dataset = await get(`datasets/${encodeURIComponent(id)}`);
      report.replaceChildren(head(dataset, place), ...(dataset.report ? [findings(dataset)] : []), ...(dataset.status === 'checking' ? [h('p.pending', {}, t('datasets.checkingHelp'))] : [gallery(dataset)]));
      if (dataset.status === 'checking') setTimeout(() => report.isConnected && load(), 1500);
    } catch (problem) {
      report.replaceChildren(problemBox(problem));
    }
  }
}

function head(dataset, place) {
  const remove = h('button.danger', { type: 'button', onclick: () => confirm(t('datasets.deleteSure', { name: dataset.name })) && busy(remove, place, async () => {
    await send('DELETE', `datasets/${dataset.id}`);
    location.hash = 'datasets';
  }) }, t('delete'));
  const { report } = dataset;
  const figures = {
    [t('datasets.trainPhotos')]: number(dataset.trainPhotos), [t('datasets.devPhotos')]: number(dataset.devPhotos), [t('datasets.allCaptions')]: number(dataset.captions),
    ...(report ? { [t('datasets.words')]: number(report.words.distinct), [t('datasets.learnable')]: number(report.words.learnable), [t('datasets.perCaption')]: number(report.captions.meanWords, 1), [t('datasets.identical')]: percent(report.captions.identical) } : {}),
    ...(report?.estimate ? { [t('datasets.estimate')]: span(report.estimate.totalMinutes * 60) } : {}),
  };
  return h('section.card', {},
    h('div.head', {}, h('h1', {}, dataset.name), status(dataset), h('span.badge', {}, languageName(dataset.language)),
      dataset.status === 'ready' ? h('a.button.primary', { href: `#training/new/${dataset.id}` }, t('datasets.train')) : null, remove),
    dataset.problem ? problemBox({ title: t('datasets.refused'), detail: dataset.problem }) : null,
    report ? h('p', { lang: 'en' }, report.summary) : null,
    dataset.status === 'checking' ? null : h('dl.figures', {}, Object.entries(figures).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))));
}

function findings(dataset) {
  if (dataset.report.findings.length === 0) return h('section.card', {}, h('h2', {}, t('datasets.findings')), h('p', {}, t('datasets.noFindings')));
  return h('section.card', {}, h('h2', {}, t('datasets.findings')), h('ul.findings', {}, dataset.report.findings.map(finding =>
    h(`li.${finding.severity}`, {},
      h('p', {}, h(`span.badge.${{ info: 'fair', warning: 'warn', error: 'bad' }[finding.severity]}`, {}, t(`severity.${finding.severity}`)), ' ', h('span', { lang: 'en' }, finding.message)),
      finding.examples.length > 0 ? examples(dataset, finding) : null))));
}

// Findings about photos that look the same: their examples name them, as in a.jpg ~ b.jpg (mirrored).
const alike = ['exact_duplicates', 'near_duplicates', 'leaked_photos'];

function examples(dataset, { code, examples: all }) {
  const side = alike.includes(code) && !dataset.report.photos.precomputed;
  return h('details', { open: side }, h('summary', {}, t('datasets.examples', { n: all.length })),
    side ? h('ul.twins', {}, all.map(example => h('li', {}, twins(dataset, example))))
      : h('ul.examples', {}, all.map(example => h('li', {}, pictures(dataset, example), h('span', { lang: dataset.language }, example)))));
}

function twins(dataset, example) {
  const mirrored = example.endsWith(' (mirrored)');
  const names = (mirrored ? example.slice(0, example.lastIndexOf(' (')) : example).split(/ [~=] /);
  return [names.map(name => h('figure', {}, photoOf(dataset.id, name), h('figcaption', {}, name))), mirrored ? h('span.badge', {}, t('datasets.mirrored')) : null];
}

// An example may name a photo: a.jpg, a.jpg: why.
const pictures = (dataset, example) => dataset.report.photos.precomputed ? [] :
  [...example.matchAll(/[^\s=:~]+\.(?:jpe?g|png|webp|gif)\b/gi)].slice(0, 2).map(([name]) => photoOf(dataset.id, name));

function gallery(dataset) {
  const items = h('ul.gallery', {}), pages = h('div.row', {}), place = h('div', {});
  const split = h('select', { onchange: () => load(0) }, ['', 'train', 'dev', 'test', 'none'].map(value => h('option', { value }, t(`split.${value || 'all'}`))));
  load(0);
  return h('section.card', {}, h('div.head', {}, h('h2', {}, t('datasets.items')), h('label.row', {}, t('datasets.split'), split)), place, items, pages);

  async function load(offset) {
    try {
      const found = await get(`datasets/${dataset.id}/items?limit=${page}&offset=${offset}${split.value ? `&split=${split.value}` : ''}`);
      items.replaceChildren(...found.items.map(item => h('li', {}, dataset.report?.photos.precomputed ? null : photoOf(dataset.id, item.photo),
        h('div', {}, h('p.fine', {}, `${item.photo} · ${t(`split.${item.split}`)}`), item.captions.map(text => h('p', { lang: dataset.language }, text))))));
      const turn = (label, to, possible) => h('button.small', { type: 'button', disabled: !possible, onclick: () => load(to) }, label);
      pages.replaceChildren(...(found.total > page ? [turn(t('pages.before'), offset - page, offset > 0), h('span.fine', {}, t('pages.of', { from: offset + 1, to: offset + found.items.length, all: found.total })), turn(t('pages.after'), offset + page, offset + page < found.total)] : []));
      if (found.total === 0) items.replaceChildren(h('li.fine', {}, t('datasets.noItems')));
    } catch (problem) {
      place.replaceChildren(problemBox(problem));
    }
  }
}
