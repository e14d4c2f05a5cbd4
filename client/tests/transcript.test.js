import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { MAX_ENTRIES, closed, withEvent } from '../src/core/transcript.js';

const transcriptOf = (...events) => events.reduce((transcript, event, at) => withEvent(transcript, { seq: at + 1, ...event }), []);
const interim = (role, text) => ({ type: 'transcript-partial', role, text });
const final = (role, text, rest = {}) => ({ type: 'transcript', role, text, ...rest });
const texts = (transcript) => transcript.map(({ kind, text, name }) => (kind === 'tool' ? name : text));

test('interim words become final in their place', () => {
  const transcript = transcriptOf(interim('user', 'hel'), interim('user', 'hello'), final('user', 'Hello.'));
  assert.deepEqual(transcript, [
    { kind: 'utterance', role: 'user', text: 'Hello.', final: true, interrupted: false, seq: 3, since: 1 },
  ]);
});

test('both can speak at once, each in their place', () => {
  const transcript = transcriptOf(
    interim('agent', 'We are'), interim('user', 'wait'), interim('agent', 'We are open'), final('user', 'Wait!'),
    final('agent', 'We are open', { interrupted: true }),
  );
  assert.deepEqual(texts(transcript), ['We are open', 'Wait!']);
  assert.deepEqual(transcript.map(({ final: isFinal, interrupted }) => [isFinal, interrupted]), [[true, true], [true, false]]);
});

test('words after a final transcript start a new entry', () => {
  assert.deepEqual(texts(transcriptOf(final('user', 'One.'), interim('user', 'two'))), ['One.', 'two']);
});

test('interim words that come again after the final ones change nothing', () => {
  const before = [interim('agent', 'Hel'), final('agent', 'Hello.')];
  const transcript = transcriptOf(...before);
  assert.equal(withEvent(transcript, { ...interim('agent', 'Hel'), seq: 1 }), transcript);
});

test('final words that were missed and sent again get their place', () => {
  const transcript = transcriptOf({ ...final('agent', 'Third.'), seq: 30 }, { ...final('user', 'First.'), seq: 10 });
  assert.deepEqual(texts(transcript), ['First.', 'Third.']);
});

test('final words that are sent again do not take the interim words of a later turn', () => {
  const transcript = transcriptOf({ ...interim('agent', 'Second'), seq: 20 }, { ...final('agent', 'First.'), seq: 10 });
  assert.deepEqual(texts(transcript), ['First.', 'Second']);
});

test('a tool is shown where it was used, and how it ended', () => {
  const call = { type: 'tool-call', id: 't1', name: 'book', arguments: { people: 4 } };
  const running = transcriptOf(final('user', 'Book it.'), call);
  assert.deepEqual(running[1], {
    kind: 'tool', id: 't1', name: 'book', arguments: { people: 4 }, ok: null, durationMs: null, since: 2,
  });
  const done = withEvent(running, { type: 'tool-result', id: 't1', name: 'book', ok: true, durationMs: 120, seq: 3 });
  assert.deepEqual([done[1].ok, done[1].durationMs], [true, 120]);
  assert.equal(withEvent(done, { type: 'tool-result', id: 't2', name: 'other', ok: false, durationMs: 1, seq: 4 }).length, 2);
});

test('the end of the call leaves nothing grey', () => {
  const transcript = closed(transcriptOf(
    final('user', 'Hello.'), { type: 'tool-call', id: 't0', name: 'find' },
    { type: 'tool-result', id: 't0', name: 'find', ok: true, durationMs: 9 }, { type: 'tool-call', id: 't1', name: 'book' },
    interim('agent', 'I am'),
  ));
  assert.deepEqual(transcript.map(({ final: isFinal, interrupted, ok }) => ({ isFinal, interrupted, ok })), [
    { isFinal: true, interrupted: false, ok: undefined },
    { isFinal: undefined, interrupted: undefined, ok: true },
    { isFinal: undefined, interrupted: undefined, ok: false },
    { isFinal: true, interrupted: true, ok: undefined },
  ]);
  const again = closed(transcript);
  assert.deepEqual(again, transcript);
});

test('events that say nothing leave the same object', () => {
  const transcript = transcriptOf(final('user', 'Hello.'));
  assert.equal(withEvent(transcript, { type: 'status', status: 'thinking', seq: 9 }), transcript);
});

test('a long call keeps its newest entries', () => {
  let transcript = [];
  for (let seq = 1; seq <= MAX_ENTRIES + 10; seq += 1) transcript = withEvent(transcript, { ...final('user', `${seq}`), seq });
  assert.equal(transcript.length, MAX_ENTRIES);
  assert.equal(transcript[0].text, '11');
});

test('whatever order events come in, the final words are there in the order of their numbers', () => {
  const spoken = fc.array(fc.record({ role: fc.constantFrom('user', 'agent'), text: fc.string({ minLength: 1 }) }), { maxLength: 12 });
  const numbered = spoken.map((all) => all.map((each, at) => ({ type: 'transcript', ...each, seq: at + 1 })));
  fc.assert(fc.property(numbered.chain((events) => fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length }))), ([events, shuffled]) => {
    const transcript = shuffled.reduce(withEvent, []);
    assert.deepEqual(transcript.map(({ seq }) => seq), events.map(({ seq }) => seq));
    assert.deepEqual(texts(transcript), events.map(({ text }) => text));
  }));
});

test('an earlier transcript is never changed', () => {
  const before = transcriptOf(interim('user', 'hel'));
  const copy = structuredClone(before);
  withEvent(before, { ...final('user', 'Hello.'), seq: 2 });
  closed(before);
  assert.deepEqual(before, copy);
});
