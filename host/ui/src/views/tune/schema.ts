/** The settings' JSON Schema, as the server publishes it, made ready for a form. */
import { plain } from '../../lib/api';
import { T } from '../../texts';

export interface Property {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  properties?: Record<string, Property>;
}

type Section = 'keep' | 'track' | 'moments' | 'more';
const SECTIONS: Section[] = ['keep', 'track', 'moments', 'more'];

/** What has no effect on which objects there are: how their pictures are made and sent. */
const ABOUT_PICTURES = /^(jpeg_quality|fullframe_|post_|track_send_history$)/;

function sectionOf(key: string): Section {
  if (/^filter_|^roi$/.test(key)) return 'keep';
  if (/^track/.test(key)) return 'track';
  if (/^realtime_|^overall_only$/.test(key)) return 'moments';
  // Plugins bring keys of their own.
  return 'more';
}

export interface Field {
  /** Of the setting, dotted: `detectors.face.filter_min_size`. */
  path: string;
  key: string;
  property: Property;
}

export interface Form {
  title: string;
  fields: Field[];
}

/** The forms of each object type, and of the plugins. */
export type Forms = Record<string, Form[]>;
export const PLUGINS = 'plugins';
export const FILTERS = 'stream_data_filter';

export async function readForms(): Promise<Forms> {
  // Asked of the running server: which trackers and plugins' settings there are depends on what it
  // has loaded.
  const document = (await (await plain('/openapi.json')).json()) as {
    components: { schemas: { StreamSettings: Property } };
  };
  const settings = document.components.schemas.StreamSettings.properties ?? {};
  const forms = Object.fromEntries(
    Object.entries(settings['detectors']?.properties ?? {}).map(([type, schema]) => {
      const fields = fieldsOf(`detectors.${type}`, schema).filter(({ key }) => !ABOUT_PICTURES.test(key));
      const sections = SECTIONS.map((section) => ({
        title: T.tune.section[section],
        fields: fields.filter(({ key }) => sectionOf(key) === section),
      }));
      return [type, sections];
    }),
  );
  const filters = settings[FILTERS];
  forms[PLUGINS] = [
    { title: T.tune.filters, fields: filters ? [{ path: FILTERS, key: FILTERS, property: filters }] : [] },
    ...Object.entries(settings['plugins']?.properties ?? {}).map(([name, schema]) => ({
      title: name,
      fields: fieldsOf(`plugins.${name}`, schema),
    })),
  ];
  for (const name of Object.keys(forms)) forms[name] = forms[name]?.filter((form) => form.fields.length > 0) ?? [];
  return forms;
}

function fieldsOf(path: string, schema: Property): Field[] {
  return Object.entries(schema.properties ?? {})
    .map(([key, property]) => ({ path: `${path}.${key}`, key, property }))
    .sort((one, other) => rank(one.key) - rank(other.key));
}

/** Settings that the page has names for come in the order of these. */
function rank(key: string): number {
  const at = Object.keys(T.settings).indexOf(key);
  return at < 0 ? Number.MAX_SAFE_INTEGER : at;
}

export function labelOf(key: string): string {
  const known = (T.settings as Record<string, string>)[key];
  if (known) return known;
  const words = key.replaceAll(/[_-]/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function kindOf(property: Property): 'boolean' | 'choice' | 'share' | 'number' | 'text' {
  const types = Array.isArray(property.type) ? property.type : [property.type ?? 'string'];
  if (property.enum) return 'choice';
  if (types.includes('boolean')) return 'boolean';
  if (types.includes('number') || types.includes('integer')) {
    return property.minimum === 0 && property.maximum === 1 ? 'share' : 'number';
  }
  return 'text';
}

export function isWhole(property: Property): boolean {
  return property.type === 'integer' || (Array.isArray(property.type) && property.type.includes('integer'));
}
