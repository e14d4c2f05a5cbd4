import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  duration, line, sessionFacts, sessionNote, sessionRows, summary, transcriptChange, workerRows,
} from '../../gateway/page/dashboard/fleet.js';
import { START, next } from '../../gateway/page/dashboard/state.js';

const worker = (changes = {}) => ({
  id: 'm-1', kind: 'media', state: 'serving', wish: 'serving', sessions: 12, capacity: 150, lagMs: 1, version: '0.1.0', reportAgeMs: 300,
  ...changes,
});
const session = (changes = {}) => ({
  id: 's1', agent: 'front-desk', state: 'running', ageS: 74, mediaWorker: 'm-1', pipelineWorker: 'p-1', answerMs: 1_240, lossPercent: 0.26,
  ...changes,
});
const said = (text) => ({ role: 'user', text, interrupted: false });

test('gateways come first, then media workers, then pipeline workers, each by name', () => {
  const known = [worker({ id: 'p-1', kind: 'pipeline' }), worker({ id: 'm-2' }), worker(), worker({ id: 'g-1', kind: 'gateway' })];
  assert.deepEqual(workerRows(known).map(({ id }) => id), ['g-1', 'm-1', 'm-2', 'p-1']);
});

test('load and lag of a worker', () => {
  const [row] = workerRows([worker({ sessions: 30, capacity: 120, lagMs: 35 })]);
  assert.deepEqual([row.load, row.loadText, row.lagText, row.isLate], [0.25, '30 of 120', '35 ms', true]);
  assert.equal(workerRows([worker({ sessions: 9, capacity: 6 })])[0].load, 1, 'an estimated capacity may shrink below its load');
  assert.equal(workerRows([worker({ capacity: 0 })])[0].load, 0);
});

test('a drain can be undone, with or without moves', () => {
  const texts = ['serving', 'draining', 'moving'].map((wish) => workerRows([worker({ wish })])[0].drainText);
  assert.deepEqual(texts, ['Drain', 'Undo', 'Undo']);
});

test('a session has its age, latency and loss', () => {
  const [row] = sessionRows([session()], '');
  assert.deepEqual([row.ageText, row.answerText, row.lossText], ['1:14', '1.2 s', '0.3 %']);
  const [new_] = sessionRows([session({ answerMs: null, lossPercent: null })], '');
  assert.deepEqual([new_.answerText, new_.lossText], ['', '']);
  const [perfect] = sessionRows([session({ answerMs: 0, lossPercent: 0 })], '');
  assert.deepEqual([perfect.answerText, perfect.lossText], ['0.0 s', '0.0 %']);
});

for (const filter of ['desk', ' S1', 'M-1', 'p-1']) {
  test(`sessions are found by "${filter}"`, () => {
    const others = session({ id: 's2', agent: 'echo', mediaWorker: 'm-2', pipelineWorker: '' });
    assert.deepEqual(sessionRows([others, session()], filter).map(({ id }) => id), ['s1']);
  });
}

test('what the rows do not say', () => {
  assert.equal(sessionNote(0, 0, 0), 'Nobody is calling.');
  assert.equal(sessionNote(2, 2, 2), '');
  assert.equal(sessionNote(0, 1, 1), '0 of 1 session');
  assert.equal(sessionNote(500, 500, 812), 'Only the newest 500 of 812 sessions');
  assert.equal(sessionNote(3, 500, 812), '3 of the newest 500 of 812 sessions');
});

test('the summary', () => {
  assert.equal(summary([worker()], 1), '1 session, 1 process');
  assert.equal(summary([worker(), worker({ state: 'draining' })], 12), '12 sessions, 2 processes, 1 draining');
});

test('durations', () => {
  assert.deepEqual([0, 59.9, 61, 3_599, 3_600, 90_061].map(duration), ['0:00', '0:59', '1:01', '59:59', '1:00:00', '25:01:01']);
});

test('the facts of the session that is read', () => {
  assert.equal(sessionFacts(null, false), '');
  assert.equal(sessionFacts(null, true), 'This session has ended.');
  assert.equal(sessionFacts(session(), false), 'front-desk · running · 1:14 · answered within 1.2 s · 0.3 % lost');
  assert.equal(sessionFacts(session({ answerMs: null, lossPercent: null }), true), 'front-desk · ended · 1:14');
});

test('the lines of a transcript', () => {
  assert.deepEqual(line(said('Hello?')), { speaker: 'Caller', words: 'Hello?' });
  assert.deepEqual(line({ role: 'agent', text: 'We are', interrupted: true }), { speaker: 'Agent', words: 'We are (interrupted)' });
  assert.deepEqual(line({ role: 'tool', name: 'find_table' }), { speaker: 'Tool', words: 'find_table' });
});

for (const [name, before, after, dropped, added] of [
  ['begins', '', 'ab', 0, 'ab'],
  ['stays', 'ab', 'ab', 0, ''],
  ['grows', 'ab', 'abcd', 0, 'cd'],
  ['grows while it loses its beginning', 'abc', 'bcd', 1, 'd'],
  ['loses its beginning only', 'abc', 'bc', 1, ''],
  ['repeats itself', 'aa', 'aaa', 0, 'a'],
  ['is another one', 'abc', 'xy', 3, 'xy'],
  ['has another end', 'abc', 'abx', 3, 'abx'],
  ['is gone', 'ab', '', 2, ''],
]) {
  test(`a transcript that ${name}`, () => {
    const [shown, present] = [before, after].map((letters) => [...letters].map(said));
    assert.deepEqual(transcriptChange(shown, present), { dropped, added: [...added].map(said) });
  });
}

const HEARD = { type: 'heard', at: '12:00:00', workers: [worker()], sessions: [session()], total: 1 };
const after = (...happenings) => happenings.reduce(next, START);
const failed = (message, needsKey = false) => ({ type: 'failed', error: { message, needsKey } });

test('when the gateway is gone, what was known stays, with its time', () => {
  const away = after(HEARD, failed('The gateway does not answer.'));
  assert.deepEqual([away.problem, away.heardAt, away.total], ['The gateway does not answer.', '12:00:00', 1]);
  assert.equal(next(away, HEARD).problem, '');
});

test('who has no key any more sees nothing any more', () => {
  const closed = after(HEARD, { type: 'opened', id: 's1' }, failed('the API key is not known', true));
  assert.deepEqual(closed, { ...START, needsKey: true, problem: 'the API key is not known' });
  assert.equal(next(closed, HEARD).needsKey, false);
});

test('why an action failed is shown until the next action, although the page is refreshed', () => {
  const refused = after(HEARD, { type: 'refused', error: { message: 'its media worker is lost', needsKey: false } }, HEARD);
  assert.equal(refused.refusal, 'its media worker is lost');
  assert.equal(next(refused, { type: 'acted' }).refusal, '');
});

test('a transcript that comes after another session was opened is not shown as its', () => {
  const read = { type: 'read', id: 's1', session: session(), transcript: [said('Hello?')] };
  const opened = after(HEARD, { type: 'opened', id: 's1' });
  assert.deepEqual(next(opened, read).opened.transcript, [said('Hello?')]);
  const other = after(HEARD, { type: 'opened', id: 's2' });
  assert.equal(next(other, read), other);
  assert.equal(next(after({ type: 'closed' }), read).opened, null);
});

test('the transcript of a session that ends stays to be read', () => {
  const read = { type: 'read', id: 's1', session: session(), transcript: [said('Goodbye.')] };
  const ended = after({ type: 'opened', id: 's1' }, read, { ...read, session: null, transcript: null });
  assert.deepEqual(ended.opened, { id: 's1', session: session(), isGone: true, transcript: [said('Goodbye.')] });
});
