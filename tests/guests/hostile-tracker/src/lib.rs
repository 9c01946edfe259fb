//! A tracker that misbehaves as its setting says, in the call that the setting names.

use std::hint::black_box;

use ocellus_plugin::{Detection, FrameInfo, Level, Manifest, State, StreamInfo, Tracker, Update, log};
use serde::Deserialize;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Misdeed {
    RefuseOpen,
    TrapInOpen,
    SpinInOpen,
    Spin,
    Allocate,
    Recurse,
    TrapOnThird,
    #[serde(rename = "trap-on-frame-99")]
    TrapOnFrame99,
    FewerIds,
    MillionIds,
    DuplicateIds,
    ZeroId,
    UseClosedAgain,
    CloseUnknown,
    ReportError,
    TrapInSnapshot,
    TrapInRestore,
    LeaveOpenAtFinish,
    /// Tracks correctly, and logs a thousand lines per frame.
    Chatter,
    WriteForever,
}

#[derive(Debug, Deserialize)]
struct Settings {
    misdeed: Misdeed,
}

struct Hostile {
    misdeed: Misdeed,
    calls: u64,
    /// The largest track id in use; ids begin with 1.
    open: u64,
}

fn spin() -> ! {
    loop {
        black_box(());
    }
}

fn allocate() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 16]);
    if depth == u64::MAX {
        return 0;
    }
    recurse(black_box(depth + 1)) + here[(depth % 16) as usize]
}

impl Tracker for Hostile {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "hostile_tracker",
        version: "0.1.0",
        description: "Misbehaves.",
        settings_schema: r#"{"type": "object", "required": ["misdeed"], "properties": {"misdeed": {"type": "string"}}}"#,
        ..Manifest::DEFAULT
    };

    fn open(Settings { misdeed }: Settings, _: StreamInfo) -> Result<Self, String> {
        match misdeed {
            Misdeed::RefuseOpen => Err("not today".into()),
            Misdeed::TrapInOpen => panic!(),
            Misdeed::SpinInOpen => spin(),
            _ => Ok(Self { misdeed, calls: 0, open: 0 }),
        }
    }

    fn update(&mut self, frame: FrameInfo, detections: Vec<Detection>) -> Result<Update, String> {
        self.calls += 1;
        self.open = self.open.max(detections.len() as u64);
        let mut ids: Vec<Option<u64>> = (1..=detections.len() as u64).map(Some).collect();
        let mut closed = Vec::new();
        match self.misdeed {
            Misdeed::Spin => spin(),
            Misdeed::Allocate => allocate(),
            Misdeed::Recurse => closed.push(recurse(0)),
            Misdeed::TrapOnThird if self.calls == 3 => panic!(),
            Misdeed::TrapOnFrame99 if frame.index == 99 => panic!(),
            Misdeed::FewerIds => drop(ids.pop()),
            Misdeed::MillionIds => ids = vec![Some(1); 1_000_000],
            Misdeed::DuplicateIds => ids.fill(Some(1)),
            Misdeed::ZeroId => ids.fill(Some(0)),
            Misdeed::UseClosedAgain => closed.push(1),
            Misdeed::CloseUnknown => closed.push(77),
            Misdeed::Chatter => (0..1000).for_each(|n| log(Level::Info, &format!("line {n}\nof many"))),
            Misdeed::WriteForever => loop {
                log(Level::Error, "again");
            },
            Misdeed::ReportError => return Err("lost the thread".into()),
            _ => {}
        }
        Ok(Update { ids, closed })
    }

    fn finish(&mut self) -> Vec<u64> {
        if self.misdeed == Misdeed::LeaveOpenAtFinish { Vec::new() } else { (1..=self.open).collect() }
    }

    fn snapshot(&self) -> State {
        assert!(self.misdeed != Misdeed::TrapInSnapshot);
        State { schema_tag: "hostile/1".into(), bytes: self.open.to_le_bytes().into() }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        assert!(self.misdeed != Misdeed::TrapInRestore);
        self.open = u64::from_le_bytes(state.bytes.try_into().map_err(|_| "no state of mine")?);
        Ok(())
    }
}

ocellus_plugin::register!(Hostile: Tracker);
