/**
 * A call with a voice agent. Set the `on...` callbacks, then `connect()`.
 *
 * Events reach us twice, over the data channel and over the WebSocket, each in order and with a number (`seq`):
 * whatever comes first counts. The protocol is in docs/protocol.md.
 */
export class VoiceAgentError extends Error {
  constructor(code, message, retryAfterMs) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

const SIGNALING_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 20_000;
const NORMAL_CLOSE = 1000;

export class VoiceAgentClient {
  constructor(config) {
    this.serverUrl = config.serverUrl;
    this.agentId = config.agentId;
    this.token = config.token;
    this.iceServers = config.iceServers ?? [];
    this.remoteAudio = config.remoteAudio ?? document.getElementById('remoteAudio');
    this.peerConnection = null;
    this.dataChannel = null;
    this.localStream = null;
    this.ws = null;
    this.ended = false;
    this.lastError = null;
    this.seen = new Set();
    this.connectTimer = null;
  }

  /** `{role, text, final, seq}` */
  onTranscript(transcript) { console.log(`${transcript.role}: ${transcript.text}`); }
  /** connecting, listening, thinking, speaking, reconnecting, ended */
  onStatus(status) {}
  /** The data channel is open: `sendText` and `sendTalk` work. */
  onReady() {}
  /** A VoiceAgentError that the call survives. */
  onError(error) {}
  /** The call is over; `error` says why if it was not a hang-up. Called once. */
  onEnded(error) {}

  /** Resolves when the offer is sent; rejects with a VoiceAgentError, after which the call is over. */
  async connect() {
    try {
      this.localStream = await this.openMicrophone();
      if (this.ended) return this.release();
      this.setupPeerConnection();
      const offer = await this.peerConnection.createOffer();
      await this.peerConnection.setLocalDescription(offer);
      await this.connectSignaling();
      if (this.ended) return;
      this.connectTimer = setTimeout(
        () => this.end(new VoiceAgentError('connect_timeout', 'No audio connection could be made.')),
        CONNECT_TIMEOUT_MS,
      );
      const { sdp } = this.peerConnection.localDescription;
      this.sendSignaling({ type: 'offer', sdp, agentId: this.agentId, token: this.token });
    } catch (error) {
      if (this.ended) return;
      const failure = error instanceof VoiceAgentError ? error : new VoiceAgentError('failed', error.message);
      this.end(failure);
      throw failure;
    }
  }

  async openMicrophone() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new VoiceAgentError('insecure_page', 'The browser gives the microphone only to https pages and localhost.');
    }
    try {
      return await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, sampleRate: 48000 },
        video: false,
      });
    } catch (error) {
      switch (error.name) {
        case 'NotAllowedError':
          throw new VoiceAgentError('microphone_denied', 'The microphone is not allowed.');
        case 'NotFoundError':
          throw new VoiceAgentError('microphone_missing', 'No microphone was found.');
        case 'NotReadableError':
          throw new VoiceAgentError('microphone_busy', 'The microphone is used by another program.');
        default:
          throw new VoiceAgentError('microphone_failed', `The microphone cannot be used: ${error.message}`);
      }
    }
  }

  setupPeerConnection() {
    const peer = new RTCPeerConnection({ iceServers: this.iceServers });
    this.peerConnection = peer;
    for (const track of this.localStream.getTracks()) {
      peer.addTrack(track, this.localStream);
    }
    peer.ontrack = (event) => {
      this.remoteAudio.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    };
    this.dataChannel = peer.createDataChannel('control');
    this.setupDataChannel();
    peer.onicecandidate = (event) => {
      // The media server is ICE-lite: it learns our addresses from our own checks, so an early one may be lost.
      if (event.candidate && this.ws?.readyState === WebSocket.OPEN) {
        this.sendSignaling({ type: 'ice-candidate', candidate: event.candidate });
      }
    };
    peer.onconnectionstatechange = () => {
      switch (peer.connectionState) {
        case 'connected':
          clearTimeout(this.connectTimer);
          break;
        case 'disconnected':
          this.onStatus('reconnecting');
          break;
        case 'failed':
          this.end(new VoiceAgentError('connection_lost', 'The audio connection was lost.'));
          break;
      }
    };
  }

  async connectSignaling() {
    this.ws = new WebSocket(`${this.serverUrl}/signaling`);
    this.ws.onmessage = async (event) => {
      try {
        await this.handleSignaling(JSON.parse(event.data));
      } catch (error) {
        this.end(new VoiceAgentError('failed', error.message));
      }
    };
    const opened = new Promise((resolve, reject) => {
      const refuse = () => reject(new VoiceAgentError('unreachable', 'The server cannot be reached.'));
      setTimeout(refuse, SIGNALING_TIMEOUT_MS);
      this.ws.onopen = resolve;
      this.ws.onerror = refuse;
      this.ws.onclose = refuse;
    });
    await opened;
    this.ws.onerror = null;
    this.ws.onclose = (event) => this.end(this.causeOf(event));
  }

  /** Why the WebSocket closed; undefined for a hang-up. */
  causeOf({ code, reason }) {
    if (code === NORMAL_CLOSE) return undefined;
    if (!reason) return new VoiceAgentError('connection_lost', 'The connection to the server was lost.');
    return this.lastError ?? new VoiceAgentError(reason, `The server ended the call (${reason}).`);
  }

  async handleSignaling(message) {
    switch (message.type) {
      case 'answer':
        await this.peerConnection.setRemoteDescription({ type: 'answer', sdp: message.sdp });
        break;
      case 'ice-candidate':
        await this.peerConnection.addIceCandidate(message.candidate);
        break;
      case 'session':
        this.sessionId = message.sessionId;
        break;
      case 'goaway':
        this.lastError = new VoiceAgentError('goaway', 'The server is being restarted. Please call again.');
        this.onError(this.lastError);
        break;
      default:
        this.handleControlMessage(message);
    }
  }

  sendSignaling(message) {
    this.ws.send(JSON.stringify(message));
  }

  setupDataChannel() {
    this.dataChannel.onopen = () => this.onReady();
    this.dataChannel.onmessage = (event) => this.handleControlMessage(JSON.parse(event.data));
  }

  handleControlMessage(message) {
    if (message.seq !== undefined) {
      if (this.seen.has(message.seq)) return;
      this.seen.add(message.seq);
    }
    switch (message.type) {
      case 'transcript':
      case 'transcript-partial':
        this.onTranscript({
          role: message.role, text: message.text, final: message.type === 'transcript', seq: message.seq,
        });
        break;
      case 'status':
        this.onStatus(message.status);
        break;
      case 'error': {
        const error = new VoiceAgentError(message.code, message.message, message.retryAfterMs);
        // Without an answer there is no call to go on with.
        this.lastError = error;
        if (this.peerConnection?.remoteDescription) this.onError(error);
        else this.end(error);
        break;
      }
    }
  }

  /** Type instead of speaking. False while there is no data channel. */
  sendText(text) {
    return this.sendControl({ type: 'text', text });
  }

  /** The button to talk is pressed or released, for agents with push-to-talk. False while there is no data channel. */
  sendTalk(pressed) {
    return this.sendControl({ type: 'talk', pressed });
  }

  sendControl(message) {
    if (this.dataChannel?.readyState !== 'open') return false;
    this.dataChannel.send(JSON.stringify(message));
    return true;
  }

  disconnect() {
    if (this.ws?.readyState === WebSocket.OPEN) this.sendSignaling({ type: 'bye' });
    this.end();
  }

  end(error) {
    if (this.ended) return;
    this.ended = true;
    this.release();
    this.onEnded(error);
  }

  release() {
    clearTimeout(this.connectTimer);
    this.localStream?.getTracks().forEach((track) => track.stop());
    this.peerConnection?.close();
    if (this.ws) {
      this.ws.onclose = null;
      this.ws.onmessage = null;
      this.ws.close();
    }
    this.remoteAudio.srcObject = null;
  }
}
