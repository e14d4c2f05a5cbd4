/** A call with the client that the gateway serves. What its <audio> element plays is recorded. */
import { VoiceAgentClient } from '/client/voice-agent.js';

const RATE = 48_000;
const audio = document.getElementById('agent');
const ears = [];

/** Begins to record. `ears` gets pieces of 20 ms. */
async function listen() {
  const context = new AudioContext({ sampleRate: RATE });
  opened.AudioContext.pop(); // ours
  const source = await fetch('recorder.js'); // a worklet's own request does not reach the test
  await context.audioWorklet.addModule(URL.createObjectURL(await source.blob()));
  const recorder = new AudioWorkletNode(context, 'recorder', {
    numberOfInputs: 2, channelCount: 1, channelCountMode: 'explicit',
  });
  recorder.port.onmessage = ({ data }) => ears.push(data.heard);
  recorder.connect(context.destination);
  let voice = null;
  const { set, get } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'srcObject');
  Object.defineProperty(audio, 'srcObject', {
    get,
    set(stream) {
      set.call(audio, stream);
      voice?.disconnect();
      voice = stream && context.createMediaStreamSource(stream);
      voice?.connect(recorder, 0, 1);
    },
  });
}

/** Resolves when both can hear each other. */
window.call = async (config, isHeard = true) => {
  if (isHeard) await listen();
  const client = new VoiceAgentClient({ remoteAudio: audio, ...config });
  Object.assign(window, { client, events: [], phases: [], ended: [] });
  client.onEvent = (event) => window.events.push(event);
  client.onStateChange = ({ phase }) => phase !== window.phases.at(-1) && window.phases.push(phase);
  client.onEnded = (error) => window.ended.push(error?.code ?? null);
  await client.connect();
};

Object.defineProperty(window, 'heardMs', { get: () => ears.length * 20 });

/** From then on: 48 kHz mono, 16 bit, in base64. */
window.heard = (fromMs) => {
  let text = '';
  for (const piece of ears.slice(fromMs / 20)) text += String.fromCharCode(...new Uint8Array(piece.buffer));
  return btoa(text);
};

/** Loud pieces since then. */
window.loudMs = (fromMs) => 20 * ears.slice(fromMs / 20).filter((piece) => piece.some((sample) => Math.abs(sample) > 1_000)).length;

/** Whether there was sound since then, and none in the last 600 ms. */
window.isSaid = (fromMs) => window.loudMs(fromMs) > 0 && window.heardMs - fromMs > 600 && window.loudMs(window.heardMs - 600) === 0;

window.inbound = async () => {
  const report = await opened.RTCPeerConnection.at(-1).getStats();
  return [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
};
