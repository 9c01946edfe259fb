/** Short names of the API's types. */
import type { components } from '../../generated/api';

type Schemas = components['schemas'];
export type Video = Schemas['VideoArchive'];
export type VideoWrite = Schemas['VideoArchiveWrite'];
export type VideoObject = Schemas['VideoObject'];
export type Cluster = Schemas['Cluster'];
export type Correction = Schemas['Correction'];
export type Delivery = Schemas['Delivery'];
export type DeliveryState = Schemas['DeliveryState'];
export type Health = Schemas['Health'];
export type Plugin = Schemas['Plugin'];
export type Token = Schemas['Token'];
export type LogLine = Schemas['LogLine'];
export type Replay = Schemas['Replay'];
export type Decision = Schemas['Decision'];
export type SearchResult = Schemas['SearchResult'];
export type StreamSettings = Schemas['StreamSettings'];
export type Status = Video['health_status']['status'];

/** Who is logged in. */
export type Session = Schemas['BrowserSession'];
export type Track = Schemas['Track'];
export type Tracks = Schemas['Tracks'];
/** Time, left, top, right, bottom: seconds, then pixels of the square, upright frame. */
export type Box = Track['boxes'][number];
