//! Files and ports that a decoder process may open, enforced by Landlock: those of its [`Needs`],
//! and no others.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use super::needs::Needs;

const VERSION: ABI = ABI::V6;

/// Folders of device drivers and the libraries that they load. Without `/proc`, which has the
/// server's secrets, and `/etc` as a whole.
const LIBRARIES: [&str; 7] = ["/usr", "/lib", "/lib64", "/opt", "/nix/store", "/sys", "/etc/ld.so.cache"];
const DEVICE_FOLDERS: [&str; 2] = ["/dev/dri", "/dev/nvidia-caps"];
const DEVICE_FILES: [&str; 4] = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"];
/// `/dev/nvidia0` and on.
const MOST_CARDS: usize = 16;

/// Denies files, and TCP where the kernel's Landlock covers it; `false` where it has no Landlock.
pub(super) fn close(needs: Needs) -> Result<bool, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?;
    if let Some(port) = needs.relay {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    if needs.devices {
        let cards = (0..MOST_CARDS).map(|card| format!("/dev/nvidia{card}"));
        let devices: Vec<_> =
            DEVICE_FOLDERS.iter().chain(&DEVICE_FILES).map(|path| (*path).to_owned()).chain(cards).collect();
        let use_device: BitFlags<AccessFs> =
            AccessFs::ReadDir | AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        // Paths that do not exist are passed over.
        rules = rules
            .add_rules(path_beneath_rules(LIBRARIES, AccessFs::from_read(VERSION)))?
            .add_rules(path_beneath_rules(devices, use_device))?;
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}
