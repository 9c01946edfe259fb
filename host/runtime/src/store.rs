//! Data of one wasmtime store: its limits, and the host functions of its plugin.
//!
//! Guarantees: memory and tables never exceed their limits, and a refusal to grow is remembered as
//! the fault behind the trap that follows. Ends with its sandbox.

use std::sync::Arc;

use wasmtime::{
    ResourceLimiter,
    component::{HasSelf, Linker},
};

use crate::{
    Fault, Kind, Limits,
    bindings::{crops, logging, pictures, types},
    imports::{CropAccess, LogBucket, PostPictures, crop_size, picture_file, picture_url},
};

pub(crate) struct StoreData {
    pub(crate) limits: Limits,
    /// Linear memory in bytes, all memories together.
    memory: usize,
    /// Elements of all tables.
    table: usize,
    /// The limit that the plugin reached, which causes the trap that follows.
    denied: Option<Fault>,
    pub(crate) log: LogBucket,
    /// Set during a call that may read crops.
    pub(crate) crops: Option<CropAccess>,
    /// Set during a call that encodes a post.
    pub(crate) pictures: Option<Arc<dyn PostPictures>>,
}

impl StoreData {
    pub(crate) fn new(plugin: &str, limits: &Limits) -> Self {
        let log = LogBucket::new(plugin, limits);
        Self { limits: limits.clone(), memory: 0, table: 0, denied: None, log, crops: None, pictures: None }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory
    }

    pub(crate) fn take_denied(&mut self) -> Option<Fault> {
        self.denied.take()
    }

    fn deny<T>(&mut self, fault: Fault) -> wasmtime::Result<T> {
        let error = wasmtime::Error::msg(fault.to_string());
        self.denied = Some(fault);
        Err(error)
    }
}

// An error and not `Ok(false)`: the guest traps at once, and the fault names the limit instead of
// the guest allocator's reaction.
impl ResourceLimiter for StoreData {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let (wanted, limit) = (self.memory.saturating_add(desired.saturating_sub(current)), self.limits.memory_bytes);
        if wanted > limit {
            return self.deny(Fault::Memory { wanted, limit });
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let (wanted, limit) = (self.table.saturating_add(desired.saturating_sub(current)), self.limits.table_elements);
        if wanted > limit {
            return self.deny(Fault::Table { wanted, limit });
        }
        self.table = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}

/// Links the host functions for plugins of this kind.
pub(crate) fn link(linker: &mut Linker<StoreData>, kind: Kind) -> wasmtime::Result<()> {
    logging::add_to_linker::<_, HasSelf<StoreData>>(linker, |data| data)?;
    match kind {
        Kind::Filter => crops::add_to_linker::<_, HasSelf<StoreData>>(linker, |data| data),
        Kind::Tracker => Ok(()),
        Kind::Router => pictures::add_to_linker::<_, HasSelf<StoreData>>(linker, |data| data),
    }
}

impl logging::Host for StoreData {
    fn log(&mut self, level: logging::Level, line: String) {
        self.log.write(&self.limits, level, &line);
    }
}

impl crops::Host for StoreData {
    fn read(&mut self, item: u32, margin: f32, size: types::Size) -> Result<Vec<u8>, crops::Unavailable> {
        // The size first, so that a wrong one is an error in every call.
        let size = crop_size(size)?;
        self.crops.as_ref().ok_or(crops::Unavailable::NoPixels)?.read(item, margin, size)
    }
}

impl pictures::Host for StoreData {
    fn read(&mut self, index: u32) -> Result<Vec<u8>, pictures::Unavailable> {
        picture_file(self.pictures.as_deref(), index)
    }

    fn url(&mut self, index: u32, seconds: u32) -> Result<String, pictures::Unavailable> {
        picture_url(self.pictures.as_deref(), index, seconds)
    }
}
