/** The state of a call's connection, what happens to it, and what is done about it. See `connection.js`. */
import type { SignalingMessage } from './messages.js';

/** `connected` as long as both sides can hear each other, even while the WebSocket is away. */
export type Phase = 'idle' | 'connecting' | 'connected' | 'reconnecting' | 'ended' | 'failed';
export type Failure = { code: string; message: string; retryAfterMs?: number };
export type OfferRequest = 'first' | 'restart' | 'move';
export type PeerState = 'connected' | 'disconnected' | 'failed';
export type Timer = 'connect' | 'grace' | 'step' | 'retry' | 'give-up';

export interface Connection {
  phase: Phase;
  /** Why the call failed. */
  failure: Failure | null;
  /** Why it ended. */
  reason: string;
  /** `attached`: the session's events come here. */
  socket: { id: number; state: 'opening' | 'open' | 'attached' } | null;
  /** A WebSocket whose gateway goes away, until another one is attached. */
  oldSocket: number | null;
  /** The peer connection that is heard, or was last. */
  peer: { id: number; state: PeerState } | null;
  /** The one that will take its place. */
  nextPeer: number | null;
  /** What waits for the server's answer. */
  pending: OfferRequest | 'resume' | null;
  /** The media worker goes away. */
  leaving: boolean;
  /** An ICE restart was tried. */
  restarted: boolean;
  /** For the next attempt. */
  waiting: boolean;
  attempt: number;
  /** Empty while there is no session. */
  resumeToken: string;
  /** Of calls, WebSockets and peer connections. */
  lastId: number;
}

export type ConnectionEvent =
  | { type: 'connect'; resumeToken?: string }
  | { type: 'prepared' }
  | { type: 'prepare-failed'; failure: Failure }
  | { type: 'socket-open'; socket: number }
  | { type: 'socket-closed'; socket: number; code: number; reason: string }
  | { type: 'message'; socket: number; message: SignalingMessage }
  | { type: 'goaway'; timeLeftMs: number }
  | { type: 'stay' }
  | { type: 'peer'; peer: number; state: PeerState }
  | { type: 'session-ended'; reason: string }
  | { type: 'timer'; timer: Timer }
  | { type: 'network-changed' }
  | { type: 'disconnect' }
  | { type: 'leave-page' };

export type Action =
  | { type: 'prepare' }
  | { type: 'open-socket'; socket: number }
  | { type: 'close-socket'; socket: number }
  | { type: 'offer'; socket: number; peer: number; request: OfferRequest; resumeToken: string }
  | { type: 'resume'; socket: number; resumeToken: string }
  | { type: 'bye'; socket: number }
  | { type: 'answer'; peer: number; sdp: string }
  | { type: 'use-peer'; peer: number; insteadOf: number | null }
  | { type: 'close-peer'; peer: number }
  | { type: 'wait'; timer: Timer; ms: number }
  | { type: 'cancel'; timer: Timer }
  | { type: 'report'; failure: Failure }
  | { type: 'release' };
