/** The messages between a client and Antiphon. Made from Python by tests/architecture/client_types.py. */

export type ClientMessage = Offer | ResumeSession | IceCandidate | Bye;

export type SignalingMessage = SessionStarted | SessionResumed | Answer | Goaway | ServerError | IceCandidate;

export type SessionEvent = TranscriptEvent | TranscriptPartialEvent | StatusEvent | GoawayEvent | StayEvent | ErrorEvent
  | MetricsEvent | ToolCallEvent | ToolResultEvent | TransferEvent;

export type ControlMessage = Text | Interrupt | Talk | Mute | Ping;

export type Role = 'user' | 'agent';

export type StatusWord = 'connecting' | 'listening' | 'thinking' | 'speaking' | 'reconnecting' | 'ended';

/** With a `resumeToken`, the session of that token moves to the new peer connection. */
export interface Offer {
  type: 'offer';
  sdp: string;
  agentId: string;
  token?: string | null;
  resumeToken?: string | null;
  lastSeq?: number;
  survivesReload?: boolean;
}

/** Only the WebSocket was lost: go on with the same peer connection. */
export interface ResumeSession {
  type: 'resume';
  resumeToken: string;
  lastSeq?: number;
}

/** `null` and the empty string mean that there are no more candidates. */
export interface IceCandidate {
  type: 'ice-candidate';
  candidate: RTCIceCandidateInit | string | null;
}

export interface Bye {
  type: 'bye';
}

/** Comes just before the answer to an offer that started or moved the session. */
export interface SessionStarted {
  type: 'session';
  sessionId: string;
  resumeToken: string;
  iceServers: RTCIceServer[];
  /** Unix time in ms at which the session ends at the latest, and its token with it. */
  expiresAt: number;
}

/** The missed events follow. */
export interface SessionResumed {
  type: 'resumed';
  sessionId: string;
  resumeToken: string;
  expiresAt: number;
}

export interface Answer {
  type: 'answer';
  sdp: string;
}

/** The gateway (`signaling`) or the media worker (`media`) goes away after that time. */
export interface Goaway {
  type: 'goaway';
  timeLeftMs: number;
  scope: 'signaling' | 'media';
  reason: string;
}

/** The offending message changed nothing, unless a close follows. */
export interface ServerError {
  type: 'error';
  code: string;
  message: string;
  retryAfterMs?: number;
}

/** Final words; for the agent, those that were heard. */
export interface TranscriptEvent {
  type: 'transcript';
  role: Role;
  text: string;
  /** The agent was. */
  interrupted?: boolean;
  seq: number;
}

/** Interim words, which the next partial or final transcript of the same role replaces. */
export interface TranscriptPartialEvent {
  type: 'transcript-partial';
  role: Role;
  text: string;
  seq: number;
}

export interface StatusEvent {
  type: 'status';
  status: StatusWord;
  /** With `ended`. */
  reason?: string;
  seq: number;
}

/** The media worker stops. A session that still runs after the time ends. */
export interface GoawayEvent {
  type: 'goaway';
  timeLeftMs: number;
  scope: 'media';
  reason: string;
  seq: number;
}

/** Takes a `goaway` back. A client that has not moved its session stays. */
export interface StayEvent {
  type: 'stay';
  scope: 'media';
  seq: number;
}

/** Something failed, or what the client sent on the data channel was refused. */
export interface ErrorEvent {
  type: 'error';
  code: string;
  message: string;
  seq: number;
}

/** How long the stages of the agent's turn took, in whole milliseconds. Stages that did not happen are left out. */
export interface MetricsEvent {
  type: 'metrics';
  /** From 1. */
  turn: number;
  interrupted: boolean;
  falseInterruptions: number;
  resumed: number;
  speculativeHit: boolean;
  endpointMs?: number;
  sttFinalMs?: number;
  llmFirstTokenMs?: number;
  ttsFirstAudioMs?: number;
  firstPacketMs?: number;
  /** All stages together: from the end of the caller's speech to the first packet of the answer. */
  firstAudioMs?: number;
  seq: number;
}

export interface ToolCallEvent {
  type: 'tool-call';
  id: string;
  name: string;
  /** Only if the agent has `tool_use.visible` and they are short. */
  arguments?: Record<string, unknown>;
  seq: number;
}

/** The tool has ended, or was stopped with its turn. */
export interface ToolResultEvent {
  type: 'tool-result';
  /** That of the call. */
  id: string;
  name: string;
  ok: boolean;
  durationMs: number;
  seq: number;
}

/** The client should connect the caller to `uri`, then end this session. */
export interface TransferEvent {
  type: 'transfer';
  destination: string;
  uri: string;
  /** May be empty. */
  reason: string;
  seq: number;
}

/** Typed instead of spoken. */
export interface Text {
  type: 'text';
  text: string;
}

export interface Interrupt {
  type: 'interrupt';
}

/** The push-to-talk button. */
export interface Talk {
  type: 'talk';
  pressed: boolean;
}

export interface Mute {
  type: 'mute';
  muted?: boolean;
}

/** Answered by `pong` with the same `id`. */
export interface Ping {
  type: 'ping';
  id?: number | string | null;
}
