// The service's public API. Addresses are relative, so that the page also works behind a proxy's path.
import { askForKey, key } from './key.js';
import { t } from './i18n.js';

/** What is not a success: the problem object of the service (RFC 9457), or what stands in for it. */
export class Problem extends Error {
  constructor({ title, detail, status, code, traceId }, retryAfter = 0) {
    super(title);
    Object.assign(this, { title, detail, status, code, traceId, retryAfter });
  }
}

/** A request as fetch makes it, with the key where there is one; asks for a key where the service wants one. */
export async function request(path, options = {}) {
  const sent = key();
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...authorization(sent) } });
  } catch (failure) {
    if (failure.name === 'AbortError') throw failure;
    throw new Problem({ title: t('problem.unreachable'), detail: t('problem.unreachableDetail'), status: 0, code: 'unreachable' });
  }
  if (response.status === 401 && await askForKey(sent)) return request(path, options);
  if (!response.ok) throw await problem(response);
  return response;
}

/** The answer of GET as JSON. */
export const get = async (path, options) => (await request(path, options)).json();

/** Sends JSON, or nothing, and reads JSON. */
export async function send(method, path, body) {
  const response = await request(path, body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } });
  return response.status === 204 ? null : response.json();
}

/** Sends a form with progress, which fetch does not tell. */
export async function upload(path, form, progress) {
  const sent = key();
  const answer = await new Promise((resolve, reject) => {
    const http = new XMLHttpRequest();
    http.open('POST', path);
    for (const [name, value] of Object.entries(authorization(sent))) http.setRequestHeader(name, value);
    http.upload.onprogress = event => event.lengthComputable && progress(event.loaded / event.total);
    http.onload = () => resolve(new Response(http.responseText, { status: http.status, headers: { 'Content-Type': http.getResponseHeader('Content-Type') ?? '' } }));
    http.onerror = () => reject(new Problem({ title: t('problem.unreachable'), detail: t('problem.unreachableDetail'), status: 0, code: 'unreachable' }));
    http.send(form);
  });
  if (answer.status === 401 && await askForKey(sent)) return upload(path, form, progress);
  if (!answer.ok) throw await problem(answer);
  return answer.json();
}

/** Server-sent events by fetch, since EventSource sends no key: calls on(event, data) until the stream ends or the signal aborts. */
export async function stream(path, signal, on) {
  let last = null;
  while (!signal.aborted) {
    try {
      const headers = { Accept: 'text/event-stream', ...(last === null ? {} : { 'Last-Event-ID': last }) };
      const response = await request(path, { signal, headers });
      if (response.status === 204) return;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const parts = (text + value).split('\n\n');
        text = parts.pop();
        for (const part of parts) {
          const fields = Object.fromEntries(part.split('\n').filter(line => !line.startsWith(':') && line.includes(': ')).map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
          if (fields.id) last = fields.id;
          if (fields.data) on(fields.event ?? 'message', JSON.parse(fields.data));
        }
      }
      if (last === null) return;
    } catch (failure) {
      if (signal.aborted) return;
      if (failure instanceof Problem && failure.status >= 400 && failure.status < 500) throw failure;
    }
    await new Promise(resolve => setTimeout(resolve, 2000));      // the connection broke: on from the last event
  }
}

/** Saves what is at an address as a file; with a key a link alone would be refused. */
export async function download(path, name) {
  const link = document.createElement('a');
  const url = key() ? URL.createObjectURL(await (await request(path)).blob()) : path;
  link.href = url;
  link.download = name;
  link.click();
  if (url !== path) setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const authorization = sent => sent ? { Authorization: `Bearer ${sent}` } : {};

async function problem(response) {
  const told = await response.json().catch(() => ({}));
  return new Problem({ title: told.title ?? `HTTP ${response.status}`, detail: told.detail ?? '', status: response.status, code: told.code, traceId: told.traceId },
    Number(response.headers.get('Retry-After')) || 0);
}
