// A filter in JavaScript that annotates each track with its duration and drops short ones.

const schema = {
  type: "object",
  additionalProperties: false,
  properties: {
    min_seconds: { type: "number", minimum: 0, default: 0, description: "Least time between first and last detection." },
  },
};

const keep = () => ({ tag: "keep" });

class Session {
  #minimum;

  constructor(minimum) {
    this.#minimum = minimum;
  }

  static open(settings, _source) {
    return new Session(JSON.parse(settings).min_seconds ?? 0);
  }

  detections(_frame, detections) {
    return detections.map(keep);
  }

  shots(_frame, candidates) {
    return candidates.map(keep);
  }

  objects(objects) {
    return objects.map((object) => {
      const seconds = object.last.time - object.first.time;
      const value = seconds.toFixed(1);
      if (seconds < this.#minimum) return { tag: "reject", val: { rule: "min_seconds", value } };
      return { tag: "annotate", val: [{ key: "seconds", value }] };
    });
  }
}

export const filtering = {
  Session,
  describe: () => ({
    name: "loiter",
    version: "0.1.0",
    description: "Notes how long tracks last, and drops the short ones.",
    settingsSchema: JSON.stringify(schema),
    capabilities: [],
    stages: { objects: true },
    limits: {},
    onFault: undefined,
  }),
};
