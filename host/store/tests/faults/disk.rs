//! Fault-injecting disk: records every step, fails a chosen one, and derives what a power cut would
//! leave.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use ocellus_store::{Backend, BackendFile, LocalDisk};

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The disk is full: this step and every later one that needs disk space fail.
    Full,
    /// As `Full`, with the first half of this write written.
    Torn,
    /// A disk error: this step alone fails.
    Broken,
}

pub(crate) const FAULTS: [Fault; 3] = [Fault::Full, Fault::Torn, Fault::Broken];

/// Contents of the disk after a power cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Only what was synced.
    Strict,
    /// All names, and the contents that were synced.
    Names,
    /// Everything: nothing is lost.
    Nothing,
    /// Everything, and half of the last write.
    Torn,
}

pub(crate) const CUTS: [Cut; 4] = [Cut::Strict, Cut::Names, Cut::Nothing, Cut::Torn];

#[derive(Clone, Debug)]
enum Step {
    Create { path: PathBuf, handle: usize },
    Open { path: PathBuf, handle: usize },
    Write { handle: usize, at: u64, bytes: Vec<u8> },
    SetLen { handle: usize, bytes: u64 },
    Sync { handle: usize },
    CreateDir(PathBuf),
    Rename(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    RemoveDir(PathBuf),
    SyncDir(PathBuf),
}

impl Step {
    fn needs_room(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Write { .. } | Self::CreateDir(_))
    }
}

#[derive(Debug, Default)]
struct State {
    /// The files and folders at the beginning, all durable.
    first: Vec<(PathBuf, Option<Vec<u8>>)>,
    steps: Vec<Step>,
    handles: usize,
    /// Counts down to the step that is to fail.
    fault: Option<(usize, Fault)>,
    full: bool,
}

/// The disk of the data folder at `root`.
#[derive(Clone, Debug)]
pub(crate) struct FaultyDisk {
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

impl FaultyDisk {
    /// A disk over the files at `root`, which count as durable.
    pub(crate) fn over(root: &Path) -> Self {
        let mut state = State::default();
        load(root, root, &mut state.first);
        Self { root: root.to_path_buf(), state: Arc::new(Mutex::new(state)) }
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> usize {
        self.state.lock().unwrap().steps.len()
    }

    /// Makes the `n`-th step from now on fail, 0 for the next one.
    pub(crate) fn fail(&self, n: usize, fault: Fault) {
        self.state.lock().unwrap().fault = Some((n, fault));
    }

    /// Ends all failures.
    pub(crate) fn repair(&self) {
        let mut state = self.state.lock().unwrap();
        (state.fault, state.full) = (None, false);
    }

    /// Writes to `image` what would be on the disk if the power were cut after `steps` steps.
    pub(crate) fn image(&self, steps: usize, cut: Cut, image: &Path) {
        let state = self.state.lock().unwrap();
        let mut model = Model::new(&state.first);
        let all = &state.steps[..steps];
        let last_write = all.iter().rposition(|s| matches!(s, Step::Write { .. }));
        let synced = |written: usize| {
            let Step::Write { handle, .. } = &all[written] else { return true };
            all[written..].iter().any(|s| matches!(s, Step::Sync { handle: h } if h == handle))
        };
        let last_write = last_write.filter(|written| !synced(*written));
        for (n, step) in all.iter().enumerate() {
            match step {
                Step::Write { handle, at, bytes } if matches!(cut, Cut::Torn) && Some(n) == last_write => {
                    model.apply(&Step::Write { handle: *handle, at: *at, bytes: bytes[..bytes.len() / 2].to_vec() });
                }
                step => model.apply(step),
            }
        }
        model.write(0, cut, image);
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap().to_path_buf()
    }

    /// Records a step, unless it is to fail.
    fn step(&self, step: Step) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let fault = match &mut state.fault {
            Some((0, fault)) => Some(*fault),
            Some((n, _)) => {
                *n -= 1;
                None
            }
            None => None,
        };
        if let Some(fault) = fault {
            state.fault = None;
            let room = step.needs_room();
            match fault {
                Fault::Broken => return Err(io::Error::from_raw_os_error(5)),
                Fault::Full | Fault::Torn => state.full = true,
            }
            if let (Fault::Torn, Step::Write { handle, at, bytes }) = (fault, &step) {
                let half = bytes[..bytes.len() / 2].to_vec();
                state.steps.push(Step::Write { handle: *handle, at: *at, bytes: half });
            }
            if !room {
                // A step that needs no disk space succeeds; the next one that does fails.
                state.steps.push(step);
                return Ok(());
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        if state.full && step.needs_room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.steps.push(step);
        Ok(())
    }

    fn handle(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.handles += 1;
        state.handles
    }

    fn file(&self, file: fs::File, handle: usize) -> Box<dyn BackendFile> {
        Box::new(FaultyFile { disk: self.clone(), file, handle })
    }
}

fn load(root: &Path, folder: &Path, into: &mut Vec<(PathBuf, Option<Vec<u8>>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_path_buf();
        if name.starts_with("index") {
            continue;
        }
        if path.is_dir() {
            into.push((name, None));
            load(root, &path, into);
        } else {
            into.push((name, Some(fs::read(&path).unwrap())));
        }
    }
}

impl Backend for FaultyDisk {
    fn create(&self, path: &Path, new: bool) -> io::Result<Box<dyn BackendFile>> {
        if new && path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let handle = self.handle();
        self.step(Step::Create { path: self.relative(path), handle })?;
        Ok(self.file(fs::File::create(path)?, handle))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn BackendFile>> {
        let handle = self.handle();
        let file = fs::File::options().write(true).open(path)?;
        self.step(Step::Open { path: self.relative(path), handle })?;
        Ok(self.file(file, handle))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.step(Step::CreateDir(self.relative(path)))?;
        LocalDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Step::Rename(self.relative(from), self.relative(to)))?;
        LocalDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::symlink_metadata(path)?;
        self.step(Step::RemoveFile(self.relative(path)))?;
        LocalDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.step(Step::RemoveDir(self.relative(path)))?;
        LocalDisk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(Step::SyncDir(self.relative(path)))
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    file: fs::File,
    handle: usize,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.file.stream_position()?;
        match self.disk.step(Step::Write { handle: self.handle, at, bytes: bytes.to_vec() }) {
            Ok(()) => {
                self.file.write_all(bytes)?;
                Ok(bytes.len())
            }
            Err(error) => {
                // The first half of a torn write is in the file.
                let torn = match self.disk.state.lock().unwrap().steps.last() {
                    Some(Step::Write { handle, at: there, bytes: half }) if *handle == self.handle && *there == at => {
                        half.clone()
                    }
                    _ => Vec::new(),
                };
                self.file.write_all(&torn)?;
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FaultyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl BackendFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.step(Step::Sync { handle: self.handle })
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.step(Step::SetLen { handle: self.handle, bytes })?;
        self.file.set_len(bytes)
    }
}

type Inode = usize;

/// Model of a file system with two states: visible to programs, and durable.
struct Model {
    nodes: Vec<Node>,
    handles: BTreeMap<usize, Inode>,
    /// Renames between two folders that were not synced since: a sync of either folder makes them
    /// durable in both.
    moves: Vec<Move>,
}

enum Node {
    File { seen: Vec<u8>, synced: Vec<u8> },
    Folder { seen: BTreeMap<String, Inode>, synced: BTreeMap<String, Inode> },
}

struct Move {
    from: (Inode, String),
    to: (Inode, String),
    what: Inode,
}

impl Model {
    fn new(first: &[(PathBuf, Option<Vec<u8>>)]) -> Self {
        let root = Node::Folder { seen: BTreeMap::new(), synced: BTreeMap::new() };
        let mut model = Self { nodes: vec![root], handles: BTreeMap::new(), moves: Vec::new() };
        for (path, contents) in first {
            let node = match contents {
                Some(bytes) => Node::File { seen: bytes.clone(), synced: bytes.clone() },
                None => Node::Folder { seen: BTreeMap::new(), synced: BTreeMap::new() },
            };
            model.add(path, node);
        }
        for node in &mut model.nodes {
            if let Node::Folder { seen, synced } = node {
                *synced = seen.clone();
            }
        }
        model
    }

    fn add(&mut self, path: &Path, node: Node) -> Inode {
        self.nodes.push(node);
        let inode = self.nodes.len() - 1;
        let (folder, name) = self.place(path);
        self.seen(folder).insert(name, inode);
        inode
    }

    fn find(&self, path: &Path) -> Option<Inode> {
        path.iter().try_fold(0, |at, name| match &self.nodes[at] {
            Node::Folder { seen, .. } => seen.get(&*name.to_string_lossy()).copied(),
            Node::File { .. } => None,
        })
    }

    fn place(&self, path: &Path) -> (Inode, String) {
        let folder = self.find(path.parent().unwrap()).unwrap();
        (folder, path.file_name().unwrap().to_string_lossy().into_owned())
    }

    fn seen(&mut self, folder: Inode) -> &mut BTreeMap<String, Inode> {
        match &mut self.nodes[folder] {
            Node::Folder { seen, .. } => seen,
            Node::File { .. } => panic!("no folder"),
        }
    }

    fn durable(&mut self, folder: Inode) -> &mut BTreeMap<String, Inode> {
        match &mut self.nodes[folder] {
            Node::Folder { synced, .. } => synced,
            Node::File { .. } => panic!("no folder"),
        }
    }

    fn contents(&mut self, handle: usize) -> (&mut Vec<u8>, &mut Vec<u8>) {
        match &mut self.nodes[self.handles[&handle]] {
            Node::File { seen, synced } => (seen, synced),
            Node::Folder { .. } => panic!("no file"),
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { path, handle } => {
                let inode = match self.find(path) {
                    Some(inode) => inode,
                    None => self.add(path, Node::File { seen: Vec::new(), synced: Vec::new() }),
                };
                self.handles.insert(*handle, inode);
                self.contents(*handle).0.clear();
            }
            Step::Open { path, handle } => {
                let inode = self.find(path).unwrap();
                self.handles.insert(*handle, inode);
            }
            Step::Write { handle, at, bytes } => {
                let (seen, _) = self.contents(*handle);
                let end = *at as usize + bytes.len();
                if seen.len() < end {
                    seen.resize(end, 0);
                }
                seen[*at as usize..end].copy_from_slice(bytes);
            }
            Step::SetLen { handle, bytes } => self.contents(*handle).0.resize(*bytes as usize, 0),
            Step::Sync { handle } => {
                let (seen, synced) = self.contents(*handle);
                synced.clone_from(seen);
            }
            Step::CreateDir(path) => {
                self.add(path, Node::Folder { seen: BTreeMap::new(), synced: BTreeMap::new() });
            }
            Step::Rename(from, to) => {
                let (from, to) = (self.place(from), self.place(to));
                let what = self.seen(from.0).remove(&from.1).unwrap();
                self.seen(to.0).insert(to.1.clone(), what);
                if from.0 != to.0 {
                    self.moves.push(Move { from, to, what });
                }
            }
            Step::RemoveFile(path) | Step::RemoveDir(path) => {
                let (folder, name) = self.place(path);
                self.seen(folder).remove(&name).unwrap();
            }
            Step::SyncDir(path) => {
                let folder = self.find(path).unwrap();
                let names = self.seen(folder).clone();
                *self.durable(folder) = names;
                let (now, later): (Vec<_>, Vec<_>) =
                    self.moves.drain(..).partition(|m| m.from.0 == folder || m.to.0 == folder);
                self.moves = later;
                for Move { from, to, what } in now {
                    if from.0 == folder {
                        self.durable(to.0).insert(to.1, what);
                    } else if self.durable(from.0).get(&from.1) == Some(&what) {
                        self.durable(from.0).remove(&from.1);
                    }
                }
            }
        }
    }

    fn write(&self, inode: Inode, cut: Cut, to: &Path) {
        match &self.nodes[inode] {
            Node::File { seen, synced } => {
                let bytes = if matches!(cut, Cut::Strict | Cut::Names) { synced } else { seen };
                fs::write(to, bytes).unwrap();
            }
            Node::Folder { seen, synced } => {
                fs::create_dir_all(to).unwrap();
                let names = if matches!(cut, Cut::Strict) { synced } else { seen };
                names.iter().for_each(|(name, inode)| self.write(*inode, cut, &to.join(name)));
            }
        }
    }
}
