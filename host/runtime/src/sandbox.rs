//! Sandbox: one store with its limits and meters, through which every call into a plugin goes.
//!
//! Guarantees: no call outlasts its deadline; memory and tables stay within their limits; after a
//! fault the plugin's code never runs in this store again. A sandbox ends with the session that
//! owns it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use wasmtime::{Engine, Store, Trap};

use crate::{
    Digest, Fault, Limits, PluginError, engine,
    imports::{CropAccess, PostPictures},
    store::StoreData,
};

/// Usage of a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Meters {
    /// Calls of the contract, `open` included.
    pub calls: u64,
    /// Wall-clock time of all calls together.
    pub time: Duration,
    /// Wall-clock time of the longest call.
    pub longest: Duration,
    /// Linear memory in bytes; it never shrinks.
    pub memory_bytes: usize,
    /// Items that a filter rejected.
    pub rejected: u64,
    /// 0 or 1: a fault ends the session.
    pub faults: u64,
    /// Log lines dropped by the limit.
    pub log_lines_dropped: u64,
}

pub(crate) struct Sandbox {
    store: Store<StoreData>,
    plugin: String,
    digest: Digest,
    meters: Meters,
    over: bool,
}

impl Sandbox {
    pub(crate) fn new(engine: &Engine, limits: &Limits, plugin: &str, digest: Digest) -> Self {
        let mut store = Store::new(engine, StoreData::new(plugin, limits));
        store.limiter(|data| data);
        store.set_hostcall_fuel(limits.output_bytes);
        store.epoch_deadline_trap();
        Self { store, plugin: plugin.to_owned(), digest, meters: Meters::default(), over: false }
    }

    /// Runs one call of the contract. `f` only calls into the plugin.
    pub(crate) fn call<R>(
        &mut self,
        call: &'static str,
        f: impl FnOnce(&mut Store<StoreData>) -> wasmtime::Result<R>,
    ) -> Result<R, PluginError> {
        if self.over {
            return Err(self.error(call, Fault::Ended));
        }
        self.store.set_epoch_deadline(engine::ticks(self.store.data().limits.deadline));
        let start = Instant::now();
        let result = f(&mut self.store);
        let took = start.elapsed();
        self.meters.calls += 1;
        self.meters.time += took;
        self.meters.longest = self.meters.longest.max(took);
        self.meters.memory_bytes = self.store.data().memory_bytes();
        self.meters.log_lines_dropped = self.store.data().log.dropped();
        result.map_err(|error| {
            let fault = self.explain(&error);
            self.fail(call, fault)
        })
    }

    /// Sets the crops that the next call may read.
    pub(crate) fn set_crops(&mut self, crops: Option<CropAccess>) {
        self.store.data_mut().crops = crops;
    }

    /// Sets the pictures of a post that the next call may read.
    pub(crate) fn set_pictures(&mut self, pictures: Option<Arc<dyn PostPictures>>) {
        self.store.data_mut().pictures = pictures;
    }

    /// The plugin's answer to `call`; an error that it returned ends the session.
    pub(crate) fn accepted<R>(&mut self, call: &'static str, answer: Result<R, String>) -> Result<R, PluginError> {
        answer.map_err(|reason| self.fail(call, Fault::Reported(reason)))
    }

    /// The validated answer to `call`; a violation of the contract ends the session.
    pub(crate) fn checked<R>(&mut self, call: &'static str, answer: Result<R, String>) -> Result<R, PluginError> {
        answer.map_err(|broken| self.fail(call, Fault::Contract(broken)))
    }

    fn fail(&mut self, call: &'static str, fault: Fault) -> PluginError {
        self.meters.faults += 1;
        self.over = true;
        self.error(call, fault)
    }

    /// Ends the session.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    pub(crate) fn count_rejected(&mut self, items: usize) {
        self.meters.rejected += items as u64;
    }

    pub(crate) fn meters(&self) -> Meters {
        self.meters
    }

    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// An error that leaves the session as it is.
    pub(crate) fn error(&self, call: &'static str, fault: Fault) -> PluginError {
        PluginError::Fault { plugin: self.plugin.clone(), digest: self.digest, call, fault }
    }

    fn explain(&mut self, error: &wasmtime::Error) -> Fault {
        let limits = &self.store.data().limits;
        let (deadline, limit) = (limits.deadline, limits.output_bytes);
        if let Some(denied) = self.store.data_mut().take_denied() {
            return denied;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Fault::Deadline(deadline),
            Some(trap) => Fault::Trap(trap.to_string()),
            None => {
                let cause = error.root_cause().to_string();
                // The type of this error is private to wasmtime.
                if cause.contains("fuel allocated for hostcalls") {
                    Fault::Output { limit }
                } else {
                    Fault::Contract(cause)
                }
            }
        }
    }
}
