import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LevelMeter, levelOf } from '../src/core/levels.js';

const sine = (amplitude) => Float32Array.from({ length: 512 }, (_, at) => amplitude * Math.sin((2 * Math.PI * at) / 64));

test('silence is 0, the loudest sound is 1', () => {
  assert.equal(levelOf(new Float32Array(512)), 0);
  assert.equal(levelOf(new Float32Array(512).fill(1)), 1);
  assert.equal(levelOf(new Float32Array(512).fill(1.5)), 1);
});

test('half as loud to the ear is less, by the same step each time', () => {
  const [loud, middle, quiet] = [sine(0.5), sine(0.05), sine(0.005)].map(levelOf);
  assert.ok(loud > middle && middle > quiet && quiet > 0);
  assert.ok(Math.abs(loud - middle - (middle - quiet)) < 1e-6);
  assert.equal(levelOf(sine(0.0001)), 0, 'below the floor');
});

test('a meter reads its stream, and lets go of it', () => {
  const connected = new Set();
  const node = { connect: () => connected.add(node), disconnect: () => connected.delete(node) };
  const analyser = { fftSize: 2048, disconnect: () => {}, getFloatTimeDomainData: (samples) => samples.set(sine(0.5)) };
  const context = { createMediaStreamSource: () => node, createAnalyser: () => analyser };
  const meter = new LevelMeter(context, {});
  assert.ok(Math.abs(meter.read() - levelOf(sine(0.5))) < 1e-6);
  assert.equal(connected.size, 1);
  meter.close();
  assert.equal(connected.size, 0);
});
