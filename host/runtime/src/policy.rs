//! Fault policy: the consequence of a plugin's fault for its job.

use std::{collections::BTreeMap, str::FromStr};

use serde::Serialize;

use crate::bindings::types;

/// Consequence of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// The job fails, with the fault as its error.
    #[default]
    Fail,
    /// The failed call keeps all items and tracks none; the job continues with a new, empty
    /// session.
    Skip,
    /// As `Skip`, but a tracker's new session gets the last saved state and the calls since then.
    Restart,
}

/// The operator's policy for plugins that fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPolicy {
    /// Default, for plugins without a policy in `by_name` or in their manifest.
    pub on_fault: OnFault,
    /// By the plugin's name; takes precedence over the plugin's manifest.
    pub by_name: BTreeMap<String, OnFault>,
    /// Number of faults in one job at which a plugin is evicted: a filter then keeps everything, a
    /// job without its tracker ends.
    pub max_faults: u64,
}

impl Default for FaultPolicy {
    fn default() -> Self {
        Self { on_fault: OnFault::default(), by_name: BTreeMap::new(), max_faults: 3 }
    }
}

impl From<types::OnFault> for OnFault {
    fn from(on_fault: types::OnFault) -> Self {
        match on_fault {
            types::OnFault::Fail => Self::Fail,
            types::OnFault::Skip => Self::Skip,
            types::OnFault::Restart => Self::Restart,
        }
    }
}

impl FromStr for OnFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            "restart" => Ok(Self::Restart),
            other => Err(format!("{other:?} is no policy: fail, skip or restart, or NAME=POLICY for one plugin")),
        }
    }
}

/// Parses `skip,deep_sort=restart`: a default policy, and others by name.
impl FromStr for FaultPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut policy = Self::default();
        for item in text.split(',').map(str::trim) {
            match item.split_once('=') {
                Some((name, on_fault)) => {
                    policy.by_name.insert(name.trim().to_owned(), on_fault.trim().parse()?);
                }
                None => policy.on_fault = item.parse()?,
            }
        }
        Ok(policy)
    }
}

impl FaultPolicy {
    /// `own`: the policy in the plugin's manifest.
    pub(crate) fn of(&self, name: &str, own: Option<OnFault>) -> OnFault {
        self.by_name.get(name).copied().or(own).unwrap_or(self.on_fault)
    }
}
