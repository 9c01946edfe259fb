//! Hardware decoders, and download of their pictures into main memory.

use std::{
    ffi::{CString, c_int},
    ptr::{self, NonNull},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ffmpeg_next::{Codec as Implementation, Error, Packet, codec, decoder, ffi, frame};

use super::{
    codec::{Codec, Coded, Device, Output},
    library,
};
use crate::{error::Cause, hardware::Hardware};

/// An open device. Each of its decoders holds its own reference.
struct Opened {
    hardware: Hardware,
    kind: ffi::AVHWDeviceType,
    context: NonNull<ffi::AVBufferRef>,
}

// SAFETY: after opening, the reference is only read, to make further ones of it, which FFmpeg
// allows from any thread.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: the only owner of this reference, which is not used after this.
        unsafe { ffi::av_buffer_unref(&raw mut context) };
    }
}

/// The device of a kind, opened at the first call. The result, also a failure, holds for the life
/// of the process: drivers do not come and go, and some take seconds to fail.
pub(crate) fn device(hardware: Hardware) -> Result<Arc<dyn Device>, Error> {
    static CUDA: OnceLock<Result<Arc<Opened>, Error>> = OnceLock::new();
    static VAAPI: OnceLock<Result<Arc<Opened>, Error>> = OnceLock::new();
    static VIDEO_TOOLBOX: OnceLock<Result<Arc<Opened>, Error>> = OnceLock::new();
    static D3D11VA: OnceLock<Result<Arc<Opened>, Error>> = OnceLock::new();
    let opened = match hardware {
        Hardware::Cuda => &CUDA,
        Hardware::Vaapi => &VAAPI,
        Hardware::VideoToolbox => &VIDEO_TOOLBOX,
        Hardware::D3d11va => &D3D11VA,
    };
    let opened = opened.get_or_init(|| Opened::open(hardware).map(Arc::new)).clone()?;
    Ok(opened)
}

impl Opened {
    fn open(hardware: Hardware) -> Result<Self, Error> {
        library::init();
        let name = CString::new(hardware.name()).map_err(|_| Error::Bug)?;
        // SAFETY: `name` is a C string that lives through the call.
        let kind = unsafe { ffi::av_hwdevice_find_type_by_name(name.as_ptr()) };
        if kind == ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_NONE {
            return Err(Error::DecoderNotFound);
        }
        let mut context = ptr::null_mut();
        // SAFETY: the place for the answer is ours; a null name and null options mean the kind's
        // default device.
        let answer = unsafe { ffi::av_hwdevice_ctx_create(&raw mut context, kind, ptr::null(), ptr::null_mut(), 0) };
        if answer < 0 {
            return Err(answer.into());
        }
        NonNull::new(context).map(|context| Self { hardware, kind, context }).ok_or(Error::Unknown)
    }

    /// FFmpeg's decoder that can offload a codec to this device, and the pixel format of its
    /// surfaces.
    ///
    /// Full hardware decoders such as `h264_cuvid` are left out: they have their own parsers and
    /// timing.
    fn offer(&self, id: codec::Id) -> Option<(Implementation, ffi::AVPixelFormat)> {
        let id = ffi::AVCodecID::from(id);
        let mut walk = ptr::null_mut();
        loop {
            // SAFETY: `walk` is FFmpeg's iterator state; the answer is null or static, and so
            // are the configurations.
            let codec = unsafe { ffi::av_codec_iterate(&raw mut walk).as_ref() }?;
            let whole = (ffi::AV_CODEC_CAP_HARDWARE | ffi::AV_CODEC_CAP_HYBRID) as c_int;
            // SAFETY: takes any codec.
            if codec.id != id || codec.capabilities & whole != 0 || unsafe { ffi::av_codec_is_decoder(codec) } == 0 {
                continue;
            }
            for index in 0.. {
                // SAFETY: takes any index; the answer is null or static.
                let Some(way) = (unsafe { ffi::avcodec_get_hw_config(codec, index).as_ref() }) else { break };
                if way.device_type == self.kind
                    && way.methods & ffi::AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX as c_int != 0
                {
                    // SAFETY: a static codec, which is never written to.
                    let codec = unsafe { Implementation::wrap(ptr::from_ref(codec).cast_mut()) };
                    return Some((codec, way.pix_fmt));
                }
            }
        }
    }
}

impl Device for Opened {
    fn name(&self) -> &str {
        self.hardware.name()
    }

    fn open(&self, stream: &Coded) -> Result<Box<dyn Codec>, Cause> {
        let (codec, format) = self.offer(stream.id()).ok_or("it does not decode this codec")?;
        // The work is the device's: threads would wait for it and hold its pictures.
        let mut context = stream.context(1)?;
        let choice = Box::new(FormatChoice { format, refused: AtomicBool::new(false) });
        // SAFETY: plain fields of a context that this function owns and has not opened yet. The
        // context owns the reference from here on. The choice lives until after the context has
        // ended.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).hw_device_ctx = ffi::av_buffer_ref(self.context.as_ptr());
            if (*raw).hw_device_ctx.is_null() {
                return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM }.into());
            }
            (*raw).opaque = ptr::from_ref(&*choice).cast_mut().cast();
            (*raw).get_format = Some(choose);
        }
        let decoder = context.open_as(codec).and_then(decoder::Opened::video)?;
        Ok(Box::new(HardwareCodec { decoder, choice }))
    }
}

/// State of a context's format callback.
struct FormatChoice {
    /// Pixel format of surfaces in the device.
    format: ffi::AVPixelFormat,
    /// FFmpeg did not offer the format, or does not any more.
    refused: AtomicBool,
}

/// FFmpeg's `get_format` callback: chooses the device's format, or none. None ends decoding here:
/// software then starts with more threads than this context has.
unsafe extern "C" fn choose(
    context: *mut ffi::AVCodecContext,
    offered: *const ffi::AVPixelFormat,
) -> ffi::AVPixelFormat {
    // SAFETY: FFmpeg passes a context that this crate opened, whose choice is alive and only read,
    // and a list that ends with `AV_PIX_FMT_NONE`. Its entries are read as the numbers that they
    // are, since FFmpeg may know more formats than our bindings.
    unsafe {
        let Some(choice) = (*context).opaque.cast::<FormatChoice>().as_ref() else {
            return ffi::AVPixelFormat::AV_PIX_FMT_NONE;
        };
        let mut entry = offered.cast::<c_int>();
        while *entry != ffi::AVPixelFormat::AV_PIX_FMT_NONE as c_int {
            if *entry == choice.format as c_int {
                return choice.format;
            }
            entry = entry.add(1);
        }
        choice.refused.store(true, Ordering::Relaxed);
    }
    ffi::AVPixelFormat::AV_PIX_FMT_NONE
}

/// A hardware decoder. Fields are dropped in order: the choice after the decoder, whose callback
/// reads it.
struct HardwareCodec {
    decoder: decoder::Video,
    choice: Box<FormatChoice>,
}

impl HardwareCodec {
    /// Replaces an error that looks like damage, where the device had refused the stream.
    fn explain(&self, error: Cause) -> Cause {
        if self.choice.refused.load(Ordering::Relaxed) {
            "the device does not support its profile, size or pixel format".into()
        } else {
            error
        }
    }
}

impl Codec for HardwareCodec {
    fn send(&mut self, packet: &Packet) -> Result<(), Cause> {
        Codec::send(&mut self.decoder, packet).map_err(|error| self.explain(error))
    }

    fn send_end(&mut self) -> Result<(), Cause> {
        Codec::send_end(&mut self.decoder).map_err(|error| self.explain(error))
    }

    fn receive(&mut self) -> Result<Output, Cause> {
        match Codec::receive(&mut self.decoder).map_err(|error| self.explain(error))? {
            Output::Picture(surface) if ffi::AVPixelFormat::from(surface.format()) == self.choice.format => {
                read_back(&surface).map(Output::Picture)
            }
            Output::Picture(_) => Err("a picture is not in the device".into()),
            other => Ok(other),
        }
    }

    fn flush(&mut self) {
        Codec::flush(&mut self.decoder);
    }
}

/// Samples of a plane that are checked, to see that it was written.
const MARKS: usize = 16;

/// Downloads a surface into main memory, in the first format that the device offers: NV12, P010.
fn read_back(surface: &frame::Video) -> Result<frame::Video, Cause> {
    let failed = |answer: c_int| -> Cause { format!("a picture cannot be read back: {}", Error::from(answer)).into() };
    let mut picture = frame::Video::empty();
    // SAFETY: both frames are alive. A surface has the context of its frames, whose size the target
    // gets, as the transfer wants it; the size that is shown is not larger. The list of formats is
    // FFmpeg's, has one entry at least, and is freed here. `marks` stays within the planes: it is
    // used while the target holds the buffer that was allocated for it.
    unsafe {
        let from = surface.as_ptr();
        // FFmpeg leaves cropping to the caller.
        if (*from).crop_left != 0 || (*from).crop_top != 0 {
            return Err("its pictures are cropped at the left or at the top".into());
        }
        let frames = (*from).hw_frames_ctx.as_ref().ok_or("a picture without a context")?;
        let size = frames.data.cast::<ffi::AVHWFramesContext>().as_ref().map(|frames| (frames.width, frames.height));
        let (width, height) = size.ok_or("a picture without a context")?;
        let mut formats = ptr::null_mut();
        let direction = ffi::AVHWFrameTransferDirection::AV_HWFRAME_TRANSFER_DIRECTION_FROM;
        let answer = ffi::av_hwframe_transfer_get_formats((*from).hw_frames_ctx, direction, &raw mut formats, 0);
        if answer < 0 {
            return Err(failed(answer));
        }
        let format = *formats;
        ffi::av_free(formats.cast());
        if ffi::sws_isSupportedInput(format) == 0 {
            return Err(format!("its pictures have a format that cannot be used, {format:?}").into());
        }

        let to = picture.as_mut_ptr();
        (*to).format = format as c_int;
        ((*to).width, (*to).height) = (width, height);
        let answer = ffi::av_frame_get_buffer(to, 0);
        if answer < 0 {
            return Err(failed(answer));
        }
        // FFmpeg 5.1 reports no error when CUDA fails to copy.
        let (columns, rows) = ((*from).width.min(width).max(1) as usize, (*from).height.min(height).max(1) as usize);
        let marks = |(plane, (data, stride)): (usize, (*mut u8, c_int))| {
            // Chroma may be subsampled by 2.
            let (columns, rows) = (columns.div_ceil(1 + plane), rows.div_ceil(1 + plane));
            (0..MARKS).map(move |n| {
                let (row, column) = (rows * n / MARKS, columns * (n * 7 % MARKS) / MARKS);
                // A pattern that no picture has at all these places.
                (data.offset(row as isize * stride as isize + column as isize), (n * 151 + 89) as u8)
            })
        };
        let planes =
            || (*to).data.into_iter().zip((*to).linesize).enumerate().take(2).filter(|(_, (data, _))| !data.is_null());
        planes().flat_map(marks).for_each(|(place, value)| *place = value);
        let answer = ffi::av_hwframe_transfer_data(to, from, 0);
        if answer < 0 {
            return Err(failed(answer));
        }
        if planes().any(|plane| marks(plane).all(|(place, value)| *place == value)) {
            return Err("a picture cannot be read back: it was not written".into());
        }
        ((*to).width, (*to).height) = ((*from).width, (*from).height);
        let answer = ffi::av_frame_copy_props(to, from);
        if answer < 0 {
            return Err(Error::from(answer).into());
        }
    }
    Ok(picture)
}
