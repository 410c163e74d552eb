//! A safe hand on libjpeg: the only unsafe code of decoding.
//!
//! libjpeg reports through callbacks. An error, and a warning that `Judge` does not forgive, unwinds from its callback
//! through libjpeg's frames to `read`; `mozjpeg-sys` compiles them for that. Nothing aborts the process. libjpeg frees
//! what it holds when `Decompressor` is dropped, also after an unwinding.

use std::ffi::{CStr, c_int, c_ulong};
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use mozjpeg_sys::*;

/// Scans that one picture may have. Each is decoded over all of it, however few bytes it has; encoders write about ten.
pub const MOST_SCANS: i32 = 500;
/// Pixels that all scans together may go over: sixteen scans of the largest picture.
const MOST_SCANNED: u64 = 1 << 32;
/// Bytes of coefficients that a picture of several scans may need at once.
const MOST_COEFFICIENTS: i32 = i32::MAX;
/// State of a decoder that has read the header; `jpegint.h` calls it so.
const DSTATE_READY: c_int = 202;
/// Rows asked for at a time.
const ROWS: usize = 8;

/// Size and components by the header, before anything is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub width: u32,
    pub height: u32,
    pub components: usize,
}

impl Header {
    /// Of the samples that are given out.
    pub fn channels(self) -> usize {
        if self.components == 4 { 4 } else { 3 }
    }
}

/// Meaning of a picture's components, where there are three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Colour space by the file's markers, in libjpeg's order: JFIF, Adobe, the components' names.
    AsMarked,
    YCbCr,
    Rgb,
}

/// Reason why a picture is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reason that the sink gave.
    Refused(String),
    /// A message of libjpeg: its code, as in `jerror.h`, and its words.
    Libjpeg(J_MESSAGE_CODE, String),
    /// No data came for one of the components.
    MissingComponent,
    TooManyScans,
    OutOfMemory,
}

/// A warning, before it is known whether it stands for damage.
#[derive(Clone, Copy, Debug)]
pub struct Warning {
    /// The code in `jerror.h`.
    pub code: J_MESSAGE_CODE,
    /// Whether the data of a scan have begun.
    pub in_scans: bool,
    /// Whether the header promises more than one scan.
    pub several_scans: bool,
}

/// State that libjpeg's callbacks share. libjpeg reaches it by `client_data`.
struct Watch<'a> {
    errors: jpeg_error_mgr,
    progress: jpeg_progress_mgr,
    info: *const jpeg_decompress_struct,
    forgive: &'a dyn Fn(Warning) -> bool,
}

/// A decoder in libjpeg's hands. It and its `Watch` point to each other, so both are raw boxes of its own.
struct Decompressor<'a> {
    info: *mut jpeg_decompress_struct,
    watch: *mut Watch<'a>,
}

impl Drop for Decompressor<'_> {
    fn drop(&mut self) {
        // SAFETY: libjpeg made `info`, or it is all zeros, which libjpeg takes for destroyed. Both came from boxes in
        // `new`, and nothing points to them any more.
        unsafe {
            jpeg_destroy_decompress(&mut *self.info);
            drop(Box::from_raw(self.info));
            drop(Box::from_raw(self.watch));
        }
    }
}

/// Taker of a picture.
pub trait Sink {
    /// Sees the header, before memory is taken for the picture.
    ///
    /// Errors: why the picture is not read.
    fn begin(&mut self, header: Header) -> Result<(), String>;

    /// Takes the next few rows, `[rows, width, channels]`: three channels are RGB, four are CMYK as the file has it. What
    /// becomes of the memory is the taker's.
    fn add(&mut self, rows: &mut [u8]);
}

/// Reads a JPEG picture, by libjpeg's slow and exact transform and smooth upsampling. `forgive` says which warnings leave
/// the pixels whole.
///
/// Errors: the first of what the sink refuses, of libjpeg's errors, and of the warnings that are not forgiven; some come
/// after the last row.
pub fn read(
    jpeg: &[u8],
    colours: Colours,
    forgive: &dyn Fn(Warning) -> bool,
    sink: &mut dyn Sink,
) -> Result<(), Fault> {
    // After an unwinding nothing of the decoder is looked at again; it is only dropped.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| Decompressor::new(jpeg, forgive)?.read(colours, sink)));
    outcome.unwrap_or_else(|payload| match payload.downcast::<Fault>() {
        Ok(fault) => Err(*fault),
        Err(other) => panic::resume_unwind(other),
    })
}

impl<'a> Decompressor<'a> {
    /// A decoder of `jpeg`, which outlives it.
    fn new(jpeg: &'a [u8], forgive: &'a dyn Fn(Warning) -> bool) -> Result<Decompressor<'a>, Fault> {
        let length = c_ulong::try_from(jpeg.len()).map_err(|_| Fault::OutOfMemory)?;
        // SAFETY: all are plain C structures of numbers, pointers and optional functions; zeros are values of each.
        let (errors, progress, info) = unsafe { (mem::zeroed(), mem::zeroed(), Box::new(mem::zeroed())) };
        let info = Box::into_raw(info);
        let watch = Box::into_raw(Box::new(Watch { errors, progress, info, forgive }));
        let new = Decompressor { info, watch };
        // SAFETY: both live until `new` is dropped. libjpeg takes the pointers to `watch` out of `info` alone.
        unsafe {
            jpeg_std_error(&mut (*watch).errors);
            (*watch).errors.error_exit = Some(error_exit);
            (*watch).errors.emit_message = Some(emit_message);
            (*watch).progress.progress_monitor = Some(progress_monitor);
            (*info).common.err = &raw mut (*watch).errors;
            (*info).common.client_data = watch.cast();
            jpeg_create_decompress(info);
            // Creating clears all but the two fields above.
            (*info).common.progress = &raw mut (*watch).progress;
            (*(*info).common.mem).max_memory_to_use = MOST_COEFFICIENTS.into();
            jpeg_mem_src(&mut *info, jpeg.as_ptr(), length);
        }
        Ok(new)
    }

    fn read(self, colours: Colours, sink: &mut dyn Sink) -> Result<(), Fault> {
        // SAFETY: calls in libjpeg's order on one decoder; no other reference to it exists meanwhile. Every row pointer
        // has a whole row of memory that outlives the call.
        unsafe {
            let info = &mut *self.info;
            jpeg_read_header(info, 1);
            let (width, height) = (info.image_width, info.image_height);
            let header = Header { width, height, components: info.num_components as usize };
            sink.begin(header).map_err(Fault::Refused)?;
            info.out_color_space = if header.channels() == 4 { JCS_CMYK } else { JCS_RGB };
            match colours {
                Colours::YCbCr if header.components == 3 => info.jpeg_color_space = JCS_YCbCr,
                Colours::Rgb if header.components == 3 => info.jpeg_color_space = JCS_RGB,
                _ => {}
            }
            jpeg_start_decompress(info);
            let said = (info.output_width, info.output_height, info.output_components as usize);
            assert_eq!(said, (width, height, header.channels()), "libjpeg scales or converts unasked");
            let stride = width as usize * header.channels();
            let mut memory = vec![0; ROWS * stride];
            while info.output_scanline < height {
                let mut pointers = [ptr::null_mut(); ROWS];
                for (pointer, row) in pointers.iter_mut().zip(memory.chunks_exact_mut(stride)) {
                    *pointer = row.as_mut_ptr();
                }
                let read = jpeg_read_scanlines(info, pointers.as_mut_ptr(), ROWS as JDIMENSION) as usize;
                assert!(read > 0, "libjpeg waits for data, which are all there");
                sink.add(&mut memory[..read * stride]);
            }
            // Reads on to the end of the picture: what is wrong there is reported too.
            jpeg_finish_decompress(info);
            // A component's table is noted when its first scan begins.
            let components = std::slice::from_raw_parts(info.comp_info, header.components);
            if components.iter().any(|component| component.quant_table.is_null()) {
                return Err(Fault::MissingComponent);
            }
            Ok(())
        }
    }
}

/// Ends reading: `read` catches it. No hook of panics is called, nothing is printed.
fn stop(fault: Fault) -> ! {
    panic::resume_unwind(Box::new(fault))
}

/// The message that libjpeg has at hand.
fn message(common: &jpeg_common_struct) -> (J_MESSAGE_CODE, String) {
    // SAFETY: libjpeg passes its decoder, whose `err` points to the manager that `new` set.
    let errors = unsafe { &mut *common.err };
    let code = errors.msg_code;
    if !(0..=errors.last_jpeg_message).contains(&code) {
        return (JMSG_NOMESSAGE, format!("message {code}"));
    }
    // SAFETY: the table has a C string for each code up to the last.
    let pattern = unsafe { CStr::from_ptr((*errors.jpeg_message_table.add(code as usize)).cast()) };
    // SAFETY: numbers and text share the bytes of the union; any bytes are numbers.
    let numbers: [c_int; 8] = unsafe { *errors.msg_parm.i() };
    (code, filled(&pattern.to_string_lossy(), &numbers))
}

/// A pattern of `printf` with its numbers filled in; texts are left out.
fn filled(pattern: &str, numbers: &[c_int]) -> String {
    let (mut text, mut rest, mut numbers) = (String::new(), pattern, numbers.iter());
    while let Some(start) = rest.find('%') {
        text.push_str(&rest[..start]);
        let kind = rest[start + 1..].find(|c: char| c.is_ascii_alphabetic() && c != 'l').map(|at| start + 1 + at);
        let Some(kind) = kind else { return text };
        match (&rest[kind..=kind], numbers.next()) {
            ("d" | "u", Some(number)) => text.push_str(&number.to_string()),
            ("x", Some(number)) => text.push_str(&format!("{number:02x}")),
            _ => text.push('?'),
        }
        rest = &rest[kind + 1..];
    }
    text + rest
}

unsafe extern "C-unwind" fn error_exit(common: &mut jpeg_common_struct) {
    let (code, words) = message(common);
    stop(Fault::Libjpeg(code, words))
}

/// Warnings have the level -1; the others are a trace.
unsafe extern "C-unwind" fn emit_message(common: &mut jpeg_common_struct, level: c_int) {
    if level >= 0 {
        return;
    }
    let (code, words) = message(common);
    let (forgive, scans) = watched(common);
    let in_scans = scans.number > 0;
    if !forgive(Warning { code, in_scans, several_scans: scans.several }) {
        stop(Fault::Libjpeg(code, words));
    }
}

unsafe extern "C-unwind" fn progress_monitor(common: &mut jpeg_common_struct) {
    let Scans { number, pixels, .. } = watched(common).1;
    if number > MOST_SCANS || number as u64 * pixels > MOST_SCANNED {
        stop(Fault::TooManyScans);
    }
}

/// How far a decoder is.
struct Scans {
    /// Scans begun.
    number: i32,
    several: bool,
    /// Pixels of the picture.
    pixels: u64,
}

fn watched(common: &jpeg_common_struct) -> (&dyn Fn(Warning) -> bool, Scans) {
    // SAFETY: libjpeg passes the decoder that `new` made, whose `client_data` is its watch; both are alive. libjpeg is
    // waiting for this callback and changes neither. It says whether there are several scans from `DSTATE_READY` on.
    unsafe {
        let watch = &*common.client_data.cast::<Watch>();
        let number = (*watch.info).input_scan_number;
        let several = common.global_state >= DSTATE_READY && jpeg_has_multiple_scans(&*watch.info) != 0;
        let pixels = u64::from((*watch.info).image_width) * u64::from((*watch.info).image_height);
        (watch.forgive, Scans { number, several, pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_filled_in() {
        assert_eq!(filled("%u bytes before marker 0x%02x", &[3, 0xd9]), "3 bytes before marker 0xd9");
        assert_eq!(filled("%s at %ld%", &[1, 2]), "? at 2");
        assert_eq!(filled("plain", &[]), "plain");
    }
}
