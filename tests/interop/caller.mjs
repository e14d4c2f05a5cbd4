/**
 * A caller on libwebrtc. Reads `{url, agentId, pcm}` as JSON from standard input, calls, says `pcm` (48 kHz mono,
 * 16 bit, in base64) once the agent listens, and prints what came of it as JSON when the answer is over:
 * `{states, events, channelEvents, heardRate, heard, inbound, pair}`.
 */
import { readFileSync } from 'node:fs';
import wrtc from '@roamhq/wrtc';
import WebSocket from 'ws';

const RATE = 48_000;
const PIECE = RATE / 100; // libwebrtc takes and gives 10 ms
const LOUD = 300;
const QUIET_PIECES = 60;
const DEADLINE_MS = 30_000;

const { url, agentId, pcm } = JSON.parse(readFileSync(0, 'utf8'));
const words = samplesOf(Buffer.from(pcm, 'base64'));

const result = { states: [], events: [], channelEvents: [], heardRate: 0 };
const heard = [];
let loudPieces = 0;
let quietPieces = 0;
let listening;
const agentListens = new Promise((resolve) => { listening = resolve; });
let pong;
const ponged = new Promise((resolve) => { pong = resolve; });
let over;
const echoIsOver = new Promise((resolve) => { over = resolve; });

setTimeout(() => {
  console.error(JSON.stringify({ ...result, heardPieces: heard.length, loudPieces }));
  process.exit(1);
}, DEADLINE_MS).unref();

const connection = new wrtc.RTCPeerConnection({ iceServers: [] });
connection.onconnectionstatechange = () => result.states.push(connection.connectionState);
const microphone = new wrtc.nonstandard.RTCAudioSource();
const track = microphone.createTrack();
connection.addTrack(track);
let ear;
connection.ontrack = (event) => {
  ear = new wrtc.nonstandard.RTCAudioSink(event.track);
  ear.ondata = listen;
};
const channel = connection.createDataChannel('control');
channel.onopen = () => channel.send(JSON.stringify({ type: 'ping', id: 1 }));
channel.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  result.channelEvents.push(event);
  if (event.type === 'pong') pong();
};

const socket = new WebSocket(url);
socket.on('message', async (data) => {
  const message = JSON.parse(data);
  result.events.push(message);
  if (message.type === 'answer') await connection.setRemoteDescription({ type: 'answer', sdp: message.sdp });
  if (message.status === 'listening') listening();
});
await new Promise((resolve, reject) => { socket.on('open', resolve).on('error', reject); });
await connection.setLocalDescription(await connection.createOffer());
socket.send(JSON.stringify({ type: 'offer', sdp: connection.localDescription.sdp, agentId }));

await agentListens;
await ponged;
const talking = speak();
await echoIsOver;
clearInterval(talking);
const report = [...(await connection.getStats()).values()];
result.inbound = report.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
result.pair = report.find(({ type, nominated }) => type === 'candidate-pair' && nominated);
result.heard = Buffer.concat(heard.map((piece) => Buffer.from(piece.buffer))).toString('base64');
ear.stop();
track.stop();
socket.send(JSON.stringify({ type: 'bye' }));
await new Promise((resolve) => { socket.on('close', resolve); });
connection.close();
process.stdout.write(JSON.stringify(result), () => process.exit(0));

/** The words once, silence after them, in real time. */
function speak() {
  const began = process.hrtime.bigint();
  let pieces = 0;
  return setInterval(() => {
    const due = Number((process.hrtime.bigint() - began) / 10_000_000n);
    for (; pieces < due; pieces += 1) {
      const samples = new Int16Array(PIECE);
      samples.set(words.subarray(pieces * PIECE, (pieces + 1) * PIECE));
      microphone.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: PIECE });
    }
  }, 10);
}

function listen({ samples, sampleRate, channelCount }) {
  const mono = samples.filter((_, index) => index % channelCount === 0);
  result.heardRate = sampleRate;
  heard.push(mono);
  const level = Math.sqrt(mono.reduce((sum, sample) => sum + sample * sample, 0) / mono.length);
  if (level > LOUD) {
    loudPieces += 1;
    quietPieces = 0;
  } else if (loudPieces > 0) {
    quietPieces += 1;
    if (quietPieces === QUIET_PIECES) over();
  }
}

function samplesOf(buffer) {
  return new Int16Array(buffer.buffer, buffer.byteOffset, buffer.length / 2).slice();
}
