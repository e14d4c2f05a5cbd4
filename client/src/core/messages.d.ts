/** The messages between a client and Antiphon (docs/protocol.md). */

export type ClientMessage = Offer | ResumeSession | IceCandidate | Bye;
export type SignalingMessage = SessionStarted | SessionResumed | Answer | IceCandidate | Goaway | ServerError;
export type SessionEvent = TranscriptEvent | TranscriptPartialEvent | StatusEvent | GoawayEvent | ErrorEvent | MetricsEvent
  | ToolCallEvent | ToolResultEvent | TransferEvent;
export type ControlMessage = Text | Interrupt | Talk | Mute | Ping;

export interface Offer { type: 'offer'; sdp: string; agentId: string; token?: string; resumeToken?: string; lastSeq?: number }
export interface ResumeSession { type: 'resume'; resumeToken: string; lastSeq?: number }
export interface IceCandidate { type: 'ice-candidate'; candidate: RTCIceCandidateInit | string | null }
export interface Bye { type: 'bye' }

export interface SessionStarted {
  type: 'session'; sessionId: string; resumeToken: string; iceServers: RTCIceServer[]; expiresAt: number;
}
export interface SessionResumed { type: 'resumed'; sessionId: string; resumeToken: string; expiresAt: number }
export interface Answer { type: 'answer'; sdp: string }
export interface Goaway { type: 'goaway'; timeLeftMs: number; scope: 'signaling' | 'media'; reason: string }
export interface ServerError { type: 'error'; code: string; message: string; retryAfterMs?: number }

export interface TranscriptEvent {
  type: 'transcript'; role: 'user' | 'agent'; text: string; interrupted?: boolean; seq: number;
}
export interface TranscriptPartialEvent { type: 'transcript-partial'; role: 'user' | 'agent'; text: string; seq: number }
export type StatusWord = 'connecting' | 'listening' | 'thinking' | 'speaking' | 'reconnecting' | 'ended';
export interface StatusEvent { type: 'status'; status: StatusWord; reason?: string; seq: number }
export interface GoawayEvent { type: 'goaway'; timeLeftMs: number; scope: 'media'; reason: string; seq: number }
export interface ErrorEvent { type: 'error'; code: string; message: string; seq: number }
export interface MetricsEvent {
  type: 'metrics'; turn: number; interrupted: boolean; falseInterruptions: number; resumed: number; speculativeHit: boolean;
  endpointMs?: number; sttFinalMs?: number; llmFirstTokenMs?: number; ttsFirstAudioMs?: number; firstPacketMs?: number;
  firstAudioMs?: number; seq: number;
}
export interface ToolCallEvent { type: 'tool-call'; id: string; name: string; arguments?: Record<string, unknown>; seq: number }
export interface ToolResultEvent { type: 'tool-result'; id: string; name: string; ok: boolean; durationMs: number; seq: number }
export interface TransferEvent { type: 'transfer'; destination: string; uri: string; reason: string; seq: number }

export interface Text { type: 'text'; text: string }
export interface Interrupt { type: 'interrupt' }
export interface Talk { type: 'talk'; pressed: boolean }
export interface Mute { type: 'mute'; muted: boolean }
export interface Ping { type: 'ping'; id: string | number }
