/**
 * Icons: 24 by 24, drawn with lines of the colour of the text. Decoration; names stand beside them.
 */

const PATHS = {
  videos: 'M4 6h12a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1Zm13 5 4-2.5v7L17 13',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm4.8-1.7L20.5 20.5',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9c0-3.6 2.6-6 6-6s6 2.4 6 6M16 4.6a3.5 3.5 0 0 1 0 6M18 14.6c1.9.9 3 2.9 3 5.4',
  tune: 'M4 7h9m5 0h2M4 17h2m5 0h9M15.5 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm-7 10a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z',
  deliveries: 'M21 4 10.5 14.5M21 4l-6.5 17-4-6.5L4 10.5 21 4Z',
  plugins:
    'M9 4v4H5a1 1 0 0 0-1 1v3.2a2.3 2.3 0 1 1 0 4.6V20h6v-1a2 2 0 1 1 4 0v1h5a1 1 0 0 0 1-1v-5h-1.5a2 2 0 1 1 0-4H20V9a1 1 0 0 0-1-1h-4V4a3 3 0 0 0-6 0Z',
  system: 'M5 5h14v6H5zm0 8h14v6H5zM8 8h.01M8 16h.01M12 8h4M12 16h4',
  face: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9 10v.5M15 10v.5M8.5 14.5c.9 1.2 2 1.8 3.5 1.8s2.6-.6 3.5-1.8',
  body: 'M12 7a2.2 2.2 0 1 0 0-4.4A2.2 2.2 0 0 0 12 7Zm-4 6.5V12a3 3 0 0 1 3-3h2a3 3 0 0 1 3 3v1.5M9.5 21l.7-7h3.6l.7 7',
  car: 'M5 12l1.6-4.5A2 2 0 0 1 8.5 6h7a2 2 0 0 1 1.9 1.5L19 12M4 12h16v5H4zM6.5 17v2M17.5 17v2M7.5 14.5h.01M16.5 14.5h.01',
  object: 'M4 8V5a1 1 0 0 1 1-1h3M16 4h3a1 1 0 0 1 1 1v3M20 16v3a1 1 0 0 1-1 1h-3M8 20H5a1 1 0 0 1-1-1v-3M9 9h6v6H9z',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  play: 'M7 4.5v15l12.5-7.5z',
  pause: 'M8 5v14M16 5v14',
  stop: 'M6.5 6.5h11v11h-11z',
  stepBack: 'M17 5.5v13L8 12zM6 6v12',
  stepForward: 'M7 5.5v13L16 12zM18 6v12',
  trash: 'M4 7h16M10 4h4M6 7l1 13h10l1-13M10 11v5M14 11v5',
  upload: 'M12 16V4m0 0L7.5 8.5M12 4l4.5 4.5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3',
  download: 'M12 4v12m0 0l-4.5-4.5M12 16l4.5-4.5M4 17v2a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-2',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 1 1 9.5 4 6.8 6.8 0 0 0 20 14.5Z',
  system_theme: 'M4 5h16v11H4zM9 20h6M12 16v4',
  logout: 'M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h11m0 0l-3.5-3.5M21 12l-3.5 3.5',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1',
  boxes: 'M4 4h10v10H4zM10 10h10v10H10z',
  full: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  zoomIn: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm4.8-1.7L20.5 20.5M7.5 10.5h6M10.5 7.5v6',
  zoomOut: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm4.8-1.7L20.5 20.5M7.5 10.5h6',
  back: 'M15 5l-7 7 7 7',
  retry: 'M20 12a8 8 0 1 1-2.5-5.8M20 3.5V8h-4.5',
  folder: 'M3 6.5a1 1 0 0 1 1-1h5l2 2.5h9a1 1 0 0 1 1 1v9.5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1z',
  globe:
    'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM3 12h18M12 3c2.5 2.5 3.5 5.5 3.5 9s-1 6.5-3.5 9c-2.5-2.5-3.5-5.5-3.5-9S9.5 5.5 12 3Z',
  picture: 'M4 5h16v14H4zM4 16l5-5 4.5 4.5L16 13l4 4M15.5 9h.01',
  warning: 'M12 4l9 16H3zM12 10v4.5M12 17.2v.1',
  why: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 16.6v.1',
  sound: 'M4 9.5v5h3.5L12 18V6L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  muted: 'M4 9.5v5h3.5L12 18V6L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  edit: 'M4 20l1-4.5L16 4.5l3.5 3.5L8.5 19 4 20Zm10-13.5l3.5 3.5',
  more: 'M4.5 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M11 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M17.5 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      class="icon"
      width={`${size / 16}rem`}
      height={`${size / 16}rem`}
      viewBox="0 0 24 24"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The icon of an object type; types that this page does not know have a box. */
export function typeIcon(type: string): IconName {
  return type === 'face' || type === 'body' || type === 'car' ? type : 'object';
}

/** The mark of Ocellus: the eyespot of a wing. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg
      class="mark"
      width={`${size / 16}rem`}
      height={`${size / 16}rem`}
      viewBox="0 0 32 32"
      aria-hidden="true"
      focusable="false"
    >
      <circle class="mark-wing" cx="16" cy="16" r="15" />
      <circle class="mark-ring" cx="16" cy="16" r="11" />
      <circle class="mark-pupil" cx="16" cy="16" r="7.5" />
      <circle class="mark-light" cx="13" cy="13" r="2.4" />
    </svg>
  );
}
