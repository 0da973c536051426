// One job: live over server-sent events.
import { h } from '../dom.js';
import { get, request, send, stream } from '../api.js';
import { lineChart } from '../chart.js';
import { busy, problemBox } from '../parts.js';
import { number, percent, span, t, when } from '../i18n.js';
import { photoOf } from './photos.js';
import { ended, state } from './training.js';

export function jobView(main, id) {
  const leaving = new AbortController();
  const head = h('section.card', {}), charts = h('div.halves', {}), samples = h('section.card', { hidden: true }), warnings = h('div.stack', {}), log = logPanel(id);
  const seen = { steps: [], epochs: [], progress: null };
  let job = null, drawn = 0;
  main.append(h('p', {}, h('a', { href: '#training' }, t('training.back'))), h('div.stack', {}, head, warnings, charts, samples, log));
  start();
  return () => leaving.abort();

  async function start() {
    try {
      job = await get(`training-jobs/${encodeURIComponent(id)}`);
      show();
      await stream(`training-jobs/${id}/events`, leaving.signal, take);
    } catch (problem) {
      if (!leaving.signal.aborted) head.replaceChildren(problemBox(problem));
    }
  }

  function take(type, event) {
    if (type === 'job') job = event;
    else if (type === 'progress') {
      seen.progress = event.data;
      if (event.data.loss !== undefined) seen.steps.push(event.data);
    } else if (type === 'epoch') seen.epochs.push(event.data);
    else if (type === 'warning') warnings.append(h('p.notice', { lang: 'en' }, event.data.message ?? JSON.stringify(event.data)));
    // Events of the past come all at once: they are drawn together.
    drawn ||= requestAnimationFrame(() => { drawn = 0; show(); });
  }

  function show() {
    head.replaceChildren(...headOf(job, seen, () => start()));
    if (seen.epochs.length === 0) return;
    const epochs = seen.epochs.filter(epoch => epoch.loss !== null);
    charts.replaceChildren(
      lineChart({ title: t('job.loss'), xTitle: t('job.step'), whole: true, series: [
        { name: t('job.trainLoss'), kind: 'a', points: seen.steps.map(step => [step.step, step.loss]) },
        { name: t('job.trainWord'), kind: 'b', points: epochs.filter(epoch => epoch.negativeLogLikelihood !== null).map(epoch => [epoch.step, epoch.negativeLogLikelihood]) },
        { name: t('job.devWord'), kind: 'c', points: seen.epochs.filter(epoch => epoch.devNegativeLogLikelihood !== null).map(epoch => [epoch.step, epoch.devNegativeLogLikelihood]) }] }),
      lineChart({ title: t('job.scores'), xTitle: t('job.epoch'), whole: true, series: [['CIDEr', 'cider', 'a'], ['BLEU-4', 'bleu4', 'b'], ['ROUGE-L', 'rougeL', 'c']]
        .map(([name, key, kind]) => ({ name, kind, points: seen.epochs.map(epoch => [epoch.epoch, epoch.scores[key]]) })) }));
    if (samples.dataset.epochs !== `${seen.epochs.length}`) showSamples(samples, job, seen.epochs);
  }
}

function headOf(job, seen, restart) {
  const place = h('div', {});
  const change = (verb, kind) => {
    const button = h(kind, { type: 'button', onclick: () => busy(button, place, async () => { await send('POST', `training-jobs/${job.id}/${verb}`); if (verb === 'resume') restart(); }) }, t(`job.${verb}`));
    return button;
  };
  const now = seen.progress, progress = job.state === 'running' && now ? now : null;
  const figures = {
    [t('training.preset')]: job.preset, ...(job.baseModel ? { [t('job.base')]: job.baseModel } : {}), [t('job.asked')]: when(job.times.validating),
    ...(progress?.stepsPerSecond ? { [t('job.rate')]: t('job.steps', { rate: progress.stepsPerSecond }) } : progress?.perSecond ? { [t('job.rate')]: t('job.photos', { rate: progress.perSecond }) } : {}),
    ...(progress?.secondsLeft != null ? { [t('job.left')]: span(progress.secondsLeft) } : {}),
  };
  const [done, all] = progress?.stage === 'features' ? [progress.done, progress.total] : [progress?.step, progress?.steps];
  return [
    h('div.head', {}, h('h1', {}, job.name), state(job),
      ['queued', 'running', 'validating'].includes(job.state) ? change('cancel', 'button') : null,
      ['cancelled', 'failed'].includes(job.state) ? change('resume', 'button.primary') : null),
    place,
    job.error ? problemBox({ title: t('job.failed'), detail: job.error }) : null,
    progress && all ? h('div', {}, h('label', {}, `${t(`stage.${progress.stage === 'features' ? 'features' : 'training'}`)} · ${percent(done / all)}`, h('progress', { max: all, value: done }))) : null,
    job.model ? h('p', {}, t('job.made'), ' ', h('a', { href: '#models' }, `${job.model.name}@${job.model.version}`), '. ', h('span', { lang: 'en' }, job.decision ?? '')) : null,
    h('dl.figures', {}, Object.entries(figures).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
  ].filter(Boolean);
}

// The dev photos with what the model said of them after each epoch: a slider goes back through the epochs.
function showSamples(section, job, epochs) {
  section.hidden = false;
  section.dataset.epochs = epochs.length;
  const list = h('ul.gallery', {}), value = h('output', {});
  const slider = h('input', { type: 'range', min: 0, max: epochs.length - 1, step: 1, oninput: show, 'aria-label': t('job.epoch') });
  const following = section.dataset.at === undefined || Number(section.dataset.at) >= epochs.length - 2;
  slider.value = following ? epochs.length - 1 : section.dataset.at;
  section.replaceChildren(h('div.head', {}, h('h2', {}, t('job.samples')), value), slider, list);
  show();

  function show() {
    const epoch = epochs[Number(slider.value)];
    section.dataset.at = slider.value;
    value.textContent = epoch.epoch === 0 ? t('job.before') : t('job.afterEpoch', { n: epoch.epoch, cider: number(epoch.scores.cider, 3, 3) });
    slider.setAttribute('aria-valuetext', value.textContent);
    list.replaceChildren(...(epoch.samples ?? []).map(sample => h('li', {}, photoOf(job.dataset, sample.photo), h('div', {}, h('p.fine', {}, sample.photo), h('p', {}, sample.caption)))));
  }
}

function logPanel(id) {
  const text = h('pre', { tabindex: '0' });
  const panel = h('details.card', { ontoggle: async () => {
    if (!panel.open) return;
    try {
      text.textContent = await (await request(`training-jobs/${encodeURIComponent(id)}/log?lines=200`)).text() || '–';
    } catch (problem) {
      text.replaceChildren(problemBox(problem));
    }
  } }, h('summary', {}, t('job.log')), text);
  return panel;
}
