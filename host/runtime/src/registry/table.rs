//! Plugin table: the state of each file, and the plugin of each name.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ocellus_core::PluginUse;

use super::info::{PluginInfo, Role, State};
use crate::{Digest, FaultPolicy, Kind, Refusal, folders::Source, plugin::Plugin};

#[derive(Default)]
pub(super) struct Table {
    pub(super) generation: u64,
    pub(super) files: BTreeMap<Source, Entry>,
    pub(super) by_name: HashMap<String, Arc<Plugin>>,
    /// Canaries by the names of the plugins that they may replace.
    pub(super) canaries: HashMap<String, Arc<Plugin>>,
}

/// State of one file.
#[derive(Clone)]
pub(super) struct Entry {
    /// Digest of the content that was loaded last, in use or not; `None` where it has to be loaded
    /// again.
    pub(super) seen: Option<Digest>,
    pub(super) plugin: Option<Arc<Plugin>>,
    pub(super) refusal: Option<Refusal>,
    /// Another file with a plugin of the same name.
    pub(super) name_taken: Option<Source>,
}

impl Table {
    pub(super) fn of(&mut self, role: Role) -> &mut HashMap<String, Arc<Plugin>> {
        match role {
            Role::Active => &mut self.by_name,
            Role::Canary => &mut self.canaries,
        }
    }

    /// The first file, of those that `fit`, with a plugin of this name.
    pub(super) fn file_of(&self, name: &str, role: Role, fit: impl Fn(&Source) -> bool) -> Option<Source> {
        let has_it = |(source, entry): &(&Source, &Entry)| {
            Role::of(&source.file) == role && fit(source) && entry.plugin.as_ref().is_some_and(|p| p.name == name)
        };
        self.files.iter().find(has_it).map(|(source, _)| source.clone())
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.files.len() == other.files.len()
            && self
                .files
                .iter()
                .all(|(source, entry)| other.files.get(source).is_some_and(|other| entry.same_as(other)))
    }
}

impl Entry {
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let digest = |e: &Self| e.plugin.as_ref().map(|p| p.digest);
        let taken = self.name_taken == other.name_taken;
        taken && self.seen == other.seen && digest(self) == digest(other) && self.refusal == other.refusal
    }

    pub(super) fn info(
        &self,
        Source { origin, file }: &Source,
        uses: &HashMap<String, PluginUse>,
        faults: &FaultPolicy,
    ) -> PluginInfo {
        let (plugin, role) = (self.plugin.as_ref(), Role::of(file));
        let (state, replacement_refused) = match (&self.refusal, plugin, &self.name_taken) {
            (_, Some(_), Some(by)) if by.origin != *origin => (State::Overridden(by.file.clone()), None),
            (_, Some(p), Some(by)) => {
                (State::Refused(Refusal::NameTaken { name: p.name.clone(), file: by.file.clone() }), None)
            }
            (None, ..) => (State::Ready, None),
            (Some(refusal), Some(_), None) => (State::Ready, Some(refusal.to_string())),
            (Some(refusal), None, _) => (State::Refused(refusal.clone()), None),
        };
        let serves = role == Role::Active && self.name_taken.is_none();
        PluginInfo {
            file: file.clone(),
            origin: *origin,
            role,
            state,
            name: plugin.map(|p| p.name.clone()),
            version: plugin.map(|p| p.version.clone()),
            description: plugin.map(|p| p.description.clone()),
            kind: plugin.map(|p| p.kind()),
            digest: plugin.map(|p| p.digest),
            schema: plugin.map(|p| p.schema.clone()),
            replacement_refused,
            capabilities: plugin.map(|p| p.capabilities.clone()),
            limits: plugin.map(|p| p.limits.clone()),
            on_fault: plugin.filter(|p| p.kind() != Kind::Router).map(|p| faults.of(&p.name, p.on_fault)),
            used: plugin.filter(|_| serves).map(|p| uses.get(&p.name).cloned().unwrap_or_default()),
        }
    }
}
