import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { EventOrder } from '../src/core/event-order.js';

test('an event that comes on both channels counts once', () => {
  const order = new EventOrder();
  assert.deepEqual([1, 1, 2, 1, 2, 3].map((seq) => order.take(seq)), [true, false, true, false, false, true]);
  assert.equal(order.lastSeq, 3);
});

test('a gap is asked for again, and what comes then is new', () => {
  const order = new EventOrder();
  for (const seq of [1, 2, 5, 6]) order.take(seq);
  assert.equal(order.lastSeq, 2);
  assert.deepEqual([3, 4, 5, 6].map((seq) => order.take(seq)), [true, true, false, false]);
  assert.equal(order.lastSeq, 6);
});

test('a session that goes on begins after the events that were seen', () => {
  const order = new EventOrder(7);
  assert.deepEqual([6, 7, 8].map((seq) => order.take(seq)), [false, false, true]);
});

test('a gap that is never filled does not grow for ever', () => {
  const order = new EventOrder();
  for (let seq = 2; seq <= 5_000; seq += 1) order.take(seq);
  assert.ok(order.ahead.size <= 500);
  assert.equal(order.lastSeq, 5_000);
  assert.equal(order.take(1), false);
});

test('each event is taken once, whatever comes on which channel', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 200 }), (seqs) => {
    const order = new EventOrder();
    const taken = seqs.filter((seq) => order.take(seq));
    assert.deepEqual(taken, [...new Set(seqs)]);
    for (let seq = 1; seq <= order.lastSeq; seq += 1) assert.ok(taken.includes(seq));
    assert.ok(!taken.includes(order.lastSeq + 1));
  }));
});
