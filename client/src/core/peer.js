const LOOK_EVERY_MS = 10;

/** One peer connection: the microphone's track out, the agent's voice in, and the data channel `control`. */
export class Peer {
  /**
   * @param {RTCConfiguration} configuration
   * @param {MediaStreamTrack} track
   * @param {object} listener
   * @param {(state: 'connected' | 'disconnected' | 'failed') => void} listener.onState
   * @param {(text: string) => void} listener.onMessage
   * @param {() => void} listener.onOpen The data channel is open.
   */
  constructor(configuration, track, { onState, onMessage, onOpen }) {
    this.connection = new RTCPeerConnection(configuration);
    this.sender = this.connection.addTrack(track, new MediaStream([track]));
    this.channel = this.connection.createDataChannel('control');
    this.channel.onopen = onOpen;
    this.channel.onmessage = ({ data }) => onMessage(data);
    /** @type {MediaStream | null} */
    this.voice = null;
    this.connection.ontrack = ({ track: voice, streams }) => {
      this.voice = streams[0] ?? new MediaStream([voice]);
    };
    this.connection.onconnectionstatechange = () => {
      const state = this.connection.connectionState;
      if (state === 'connected' || state === 'disconnected' || state === 'failed') onState(state);
    };
  }

  /** The SDP of an offer. Candidates follow none: the server learns our addresses from our own checks. */
  async offer({ iceRestart = false } = {}) {
    await this.connection.setLocalDescription(await this.connection.createOffer({ iceRestart }));
    return this.connection.localDescription?.sdp ?? '';
  }

  /** @param {string} sdp */
  async answer(sdp) {
    await this.connection.setRemoteDescription({ type: 'answer', sdp });
  }

  /** @param {MediaStreamTrack} track */
  async replaceTrack(track) {
    await this.sender.replaceTrack(track);
  }

  /**
   * False while the data channel is not open.
   * @param {object} message
   */
  send(message) {
    if (this.channel.readyState !== 'open') return false;
    this.channel.send(JSON.stringify(message));
    return true;
  }

  /**
   * Resolves when the agent's voice sounds here, or after that time.
   * @param {number} ms
   */
  async untilHeard(ms) {
    const [receiver] = this.connection.getReceivers();
    const isHeard = () => receiver?.getSynchronizationSources().some(({ audioLevel = 1 }) => audioLevel > 0);
    for (const end = performance.now() + ms; performance.now() < end && !isHeard(); ) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  close() {
    this.channel.onopen = this.channel.onmessage = null;
    this.connection.ontrack = this.connection.onconnectionstatechange = null;
    this.connection.close();
  }
}
