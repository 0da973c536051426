// Training: the jobs, a new one, one as it runs.
import { h } from '../dom.js';
import { get } from '../api.js';
import { empty, problemBox } from '../parts.js';
import { t, when } from '../i18n.js';
import { newJob } from './newJob.js';
import { jobView } from './job.js';

export default function training(main, [id, dataset]) {
  if (id && id !== 'new') return jobView(main, id);
  const list = h('div.stack', {});
  main.append(h('h1', {}, t('training.title')), newJob(dataset, id === 'new'), list);
  load();
  return undefined;

  async function load() {
    try {
      const { jobs } = await get('training-jobs');
      list.replaceChildren(...(jobs.length === 0 ? [empty(t('training.none'), t('training.noneHelp'))] : jobs.map(line)));
      if (jobs.some(job => !ended(job))) setTimeout(() => list.isConnected && load(), 3000);
    } catch (problem) {
      list.replaceChildren(problemBox(problem));
    }
  }
}

const line = job => h('article.card.line', {},
  h('div', {}, h('h2', {}, h('a', { href: `#training/${job.id}` }, job.name)),
    h('p.fine', {}, [job.preset, job.baseModel ? t('training.fromModel', { model: job.baseModel }) : null, when(job.times.validating)].filter(Boolean).join(' · '))),
  state(job));

/** Whether nothing more comes of a job by itself. */
export const ended = job => ['cancelled', 'failed', 'succeeded'].includes(job.state);

/** A job's state as a badge. */
export const state = job => h(`span.badge.${{ succeeded: 'good', failed: 'bad', cancelled: 'warn' }[job.state] ?? 'fair'}`, {}, t(`job.${job.state}`));
