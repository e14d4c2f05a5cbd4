import { AdminApi, AdminError } from './admin-api.js';
import { line, sessionFacts, sessionNote, sessionRows, summary, transcriptChange, workerRows } from './fleet.js';
import { START, next } from './state.js';
import { Table } from './table.js';

const EVERY_MS = 1_000;
/** Whoever has scrolled further up than this reads something older, and stays there. */
const NEAR_END_PX = 40;

const api = new AdminApi();
let state = START;
/** @type {readonly import('./fleet.js').Entry[]} */
let shownTranscript = [];
let refreshNow = () => {};

/** @returns {any} */
const element = (/** @type {string} */ id) => document.getElementById(id);

/** @type {Table<ReturnType<typeof workerRows>[number]>} */
const workers = new Table(element('workers').tBodies[0], element('workerRow'), (find, { id, state: status, wish, load, isLate, drainText }) => {
  find('state').dataset.state = status;
  find('load').value = load;
  find('load').ariaLabel = `Load of ${id}`;
  find('lag').classList.toggle('late', isLate);
  find('drain').ariaLabel = `${drainText} ${id}`;
  find('move').ariaLabel = `Move sessions away from ${id}`;
  find('move').hidden = wish === 'moving';
}, (action, { id, wish }) => {
  if (action === 'move') act(() => api.drain(id, true));
  else act(() => (wish === 'serving' ? api.drain(id, false) : api.undoDrain(id)));
});

/** @type {Table<ReturnType<typeof sessionRows>[number]>} */
const sessions = new Table(element('sessions').tBodies[0], element('sessionRow'), (find, { state: status }) => {
  if (find('state').dataset.state !== status) find('state').dataset.state = status;
}, (_, { id }) => openSession(id));

/** @param {import('./state.js').Happening} happening */
function on(happening) {
  state = next(state, happening);
  show();
}

function show() {
  const { heardAt, needsKey, opened, problem, refusal, total } = state;
  write('summary', heardAt ? summary(state.workers, total) : '');
  workers.show(workerRows(state.workers));
  const rows = sessionRows(state.sessions, element('filter').value);
  sessions.show(rows);
  write('sessionNote', heardAt ? sessionNote(rows.length, state.sessions.length, total) : '');
  showKeyForm(needsKey);
  const isAskedOnly = needsKey && !api.key;
  const since = problem && heardAt ? ` What is shown is from ${heardAt}.` : '';
  write('problem', isAskedOnly ? '' : problem + since);
  write(opened ? 'sessionRefusal' : 'refusal', refusal);
  write(opened ? 'refusal' : 'sessionRefusal', '');
  if (opened) showOpened(opened);
  else if (element('session').open) element('session').close();
}

/** @param {boolean} needsKey */
function showKeyForm(needsKey) {
  element('forgetKey').hidden = needsKey || !api.key;
  if (element('keyForm').hidden !== needsKey) return;
  element('keyForm').hidden = !needsKey;
  if (needsKey) element('key').focus();
}

/** @param {import('./state.js').Opened} opened */
function showOpened({ session, isGone, transcript }) {
  write('sessionFacts', sessionFacts(session, isGone));
  element('endSession').disabled = isGone;
  const [pane, list] = [element('transcript'), element('lines')];
  const wasAtEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < NEAR_END_PX;
  const { dropped, added } = transcriptChange(shownTranscript, transcript);
  for (let index = 0; index < dropped; index += 1) list.firstElementChild.remove();
  for (const entry of added) {
    const item = element('lineRow').content.cloneNode(true);
    const { speaker, words } = line(entry);
    item.querySelector('.speaker').textContent = speaker;
    item.querySelector('.words').textContent = words;
    list.append(item);
  }
  shownTranscript = transcript;
  if (added.length && wasAtEnd) pane.scrollTop = pane.scrollHeight;
}

async function refresh() {
  const opened = state.opened?.id;
  const [known, page, read] = await Promise.all([api.workers(), api.sessions(), opened ? readSession(opened) : null]);
  on({ type: 'heard', at: new Date().toLocaleTimeString(), workers: known, ...page });
  if (read) on(read);
}

/**
 * @param {string} id
 * @returns {Promise<import('./state.js').Happening>}
 */
async function readSession(id) {
  const [session, transcript] = await Promise.all([unlessGone(api.session(id)), unlessGone(api.transcript(id))]);
  return { type: 'read', id, session, transcript };
}

/**
 * @template T
 * @param {Promise<T>} answer
 * @returns {Promise<T | null>}
 */
function unlessGone(answer) {
  return answer.catch((error) => {
    if (error instanceof AdminError && error.isGone) return null;
    throw error;
  });
}

/** Asks again a second after each answer, so that a slow gateway is not asked twice at once. */
async function run() {
  for (;;) {
    const pause = new Promise((resolve) => (refreshNow = () => resolve(undefined)));
    if (document.visibilityState === 'visible') await refresh().catch((error) => on({ type: 'failed', error }));
    setTimeout(refreshNow, EVERY_MS);
    await pause;
  }
}

/** @param {() => Promise<void>} request */
function act(request) {
  on({ type: 'acted' });
  request().catch((error) => on({ type: 'refused', error })).finally(() => refreshNow());
}

/** @param {string} id */
function openSession(id) {
  write('sessionTitle', `Session ${id}`);
  element('lines').replaceChildren();
  shownTranscript = [];
  on({ type: 'opened', id });
  element('session').showModal();
  refreshNow();
}

/**
 * A text that is the same is not written: a screen reader would read it again. An empty one takes no place.
 * @param {string} id
 * @param {string} text
 */
function write(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
  element(id).hidden = !text;
}

element('filter').oninput = show;
element('closeSession').onclick = () => element('session').close();
element('session').onclose = () => on({ type: 'closed' });
element('endSession').onclick = () => {
  element('confirm').returnValue = ''; // Escape leaves it as it is
  element('confirm').showModal();
};
element('keepSession').onclick = () => element('confirm').close('');
element('endIt').onclick = () => element('confirm').close('end');
element('confirm').onclose = () => {
  const id = state.opened?.id;
  if (id && element('confirm').returnValue === 'end') act(() => api.end(id));
};
element('keyForm').onsubmit = (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  api.useKey(element('key').value.trim());
  element('key').value = '';
  refreshNow();
};
element('forgetKey').onclick = () => {
  api.useKey('');
  refreshNow();
};
document.onvisibilitychange = () => refreshNow();
void run();
