//! Set of networks: the sub-folders of a folder, each with a network, loaded in the background.
//!
//! Shared by all kinds of networks, which differ in the networks that they accept beside earlier
//! ones ([`FolderNetwork::load`]), in the words of the log, and in their reports. Owns the loaded
//! networks and the reasons why others were refused. An unusable folder does not affect the others.
//! The networks are dropped with the last clone of the set.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{device::Device, loading::LoadError, pending::Pending};

/// A network that a folder describes: a detector or an embedder.
pub(crate) trait FolderNetwork: Sized + Send + Sync + 'static {
    /// Entry of a loaded network in the operator's report.
    type Entry: Clone + Send + Sync + 'static;

    /// Loads a folder, unless the networks of `earlier` folders make it redundant.
    fn load_folder(folder: &Path, earlier: &[Arc<Self>], device: &Device) -> Result<(Self, Self::Entry), LoadError>;

    /// Logs that a folder is not used; the name of the log field is the kind of network.
    fn log_refusal(folder: &str, reason: &str);

    fn object_types(&self) -> &[ObjectType];

    /// Releases the network unless it was used recently; returns whether it was loaded.
    fn release_idle(&self) -> bool;
}

/// The networks of a folder. Cheap to clone; clones share the networks.
pub(crate) struct NetworkSet<N: FolderNetwork>(Arc<Pending<Networks<N>>>);

/// Outcome of loading all folders.
pub(crate) struct Networks<N: FolderNetwork> {
    /// In the order of their folders' names.
    pub(crate) networks: Vec<Arc<N>>,
    /// One for each network.
    pub(crate) entries: Vec<N::Entry>,
    pub(crate) refused: Vec<Refused>,
}

/// A folder that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The folder's name.
    pub name: String,
    /// One sentence for the operator.
    pub reason: String,
}

/// The folder of the detectors, or of the embedders, cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{folder}: no networks can be read; run cargo xtask setup")]
pub struct FolderError {
    folder: String,
    #[source]
    source: io::Error,
}

impl<N: FolderNetwork> NetworkSet<N> {
    /// Prepares to load [`sub_folders`] in their order. The closure loads them, on the caller's
    /// thread; where it is dropped instead, the set is empty.
    pub(crate) fn open(folders: Vec<(String, PathBuf)>, device: &Device) -> (Self, impl FnOnce() + Send + use<N>) {
        let (loaded, promise) = Pending::promised();
        let device = device.clone();
        (Self(loaded), move || promise.keep(Networks::load(&folders, &device)))
    }

    /// `None` while the networks are being loaded.
    pub(crate) fn get(&self) -> Option<&Networks<N>> {
        self.0.get()
    }

    /// Blocks until all are loaded.
    pub(crate) fn wait(&self) -> &Networks<N> {
        self.0.wait()
    }

    /// Blocks until all are loaded, or `cancelled` returns true; `None` then.
    pub(crate) fn wait_unless(&self, cancelled: impl Fn() -> bool) -> Option<&Networks<N>> {
        self.0.wait_unless(cancelled)
    }

    /// Releases networks that were not used recently, except those of `wanted` object types.
    /// Returns whether one was loaded.
    pub(crate) fn make_room(&self, wanted: &[ObjectType]) -> bool {
        let networks = self.get().into_iter().flat_map(|loaded| &loaded.networks);
        let unwanted = networks.filter(|n| !n.object_types().iter().any(|t| wanted.contains(t)));
        // Counted, not `any`, which would stop at the first that is released.
        unwanted.filter(|n| n.release_idle()).count() > 0
    }
}

impl<N: FolderNetwork> Clone for NetworkSet<N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// An empty set.
impl<N: FolderNetwork> Default for NetworkSet<N> {
    fn default() -> Self {
        Self(Pending::promised().0)
    }
}

impl<N: FolderNetwork> Networks<N> {
    fn load(folders: &[(String, PathBuf)], device: &Device) -> Self {
        let mut loaded = Self::default();
        for (name, path) in folders {
            match N::load_folder(path, &loaded.networks, device) {
                Ok((network, entry)) => {
                    loaded.networks.push(Arc::new(network));
                    loaded.entries.push(entry);
                }
                Err(error) => {
                    let reason = error.to_string();
                    N::log_refusal(name, &reason);
                    loaded.refused.push(Refused { name: name.clone(), reason });
                }
            }
        }
        loaded
    }
}

impl<N: FolderNetwork> Default for Networks<N> {
    fn default() -> Self {
        Self { networks: Vec::new(), entries: Vec::new(), refused: Vec::new() }
    }
}

/// Names and paths of the sub-folders, sorted by name, without hidden ones.
pub(crate) fn sub_folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, FolderError> {
    list(folder).map_err(|source| FolderError { folder: folder.display().to_string(), source })
}

fn list(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // `is_dir` follows symbolic links: a folder may be linked from elsewhere.
        if path.is_dir() && !name.starts_with('.') {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::device::DeviceChoice;

    /// A network of the type that its folder is called.
    struct Fake {
        types: [ObjectType; 1],
        loaded: AtomicBool,
    }

    impl FolderNetwork for Fake {
        type Entry = usize;

        fn load_folder(folder: &Path, earlier: &[Arc<Self>], _: &Device) -> Result<(Self, usize), LoadError> {
            let name = folder.file_name().unwrap().to_string_lossy();
            let object_type = name.parse().map_err(|_| LoadError::SameName(name.to_string()))?;
            Ok((Self { types: [object_type], loaded: AtomicBool::new(true) }, earlier.len()))
        }

        fn log_refusal(_: &str, _: &str) {}

        fn object_types(&self) -> &[ObjectType] {
            &self.types
        }

        fn release_idle(&self) -> bool {
            self.loaded.swap(false, Ordering::SeqCst)
        }
    }

    #[test]
    fn folders_load_in_the_order_of_their_names_and_unwanted_networks_are_released() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["face", "body", "car", "NOT A TYPE", ".hidden"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("file"), "").unwrap();
        let device = Device::choose(DeviceChoice::Cpu, None).unwrap();
        let (set, load) = NetworkSet::<Fake>::open(sub_folders(folder.path()).unwrap(), &device);
        assert!(set.get().is_none() && set.wait_unless(|| true).is_none() && !set.make_room(&[]));
        load();

        let loaded = set.wait();
        let types: Vec<_> = loaded.networks.iter().map(|n| n.types[0].as_str()).collect();
        assert_eq!((types, loaded.entries.as_slice()), (vec!["body", "car", "face"], &[0, 1, 2][..]));
        assert_eq!(loaded.refused.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["NOT A TYPE"]);

        let is_loaded = || loaded.networks.iter().map(|n| n.loaded.load(Ordering::SeqCst)).collect::<Vec<_>>();
        assert!(set.make_room(&[ObjectType::face()]));
        assert_eq!(is_loaded(), [false, false, true], "all that are unwanted, not only the first");
        assert!(!set.make_room(&[ObjectType::face()]));
    }

    #[test]
    fn a_set_that_is_not_loaded_is_empty() {
        let device = Device::choose(DeviceChoice::Cpu, None).unwrap();
        let (set, load) = NetworkSet::<Fake>::open(vec![("face".into(), PathBuf::from("face"))], &device);
        drop(load);
        assert!(set.wait().networks.is_empty());
        assert!(NetworkSet::<Fake>::default().wait().networks.is_empty());
    }
}
