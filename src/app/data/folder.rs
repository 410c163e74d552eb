//! The files that tables name. Names on disk and in tables differ in ways that people do not see
//! (the Unicode form of letters, the case of an ending) or leave out (the ending): where one file
//! can be meant, it is taken.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::app::data::ENDINGS;
use crate::app::data::alike::{self, composed};

/// The photographs of a data set. Folders are listed when a name in them is not found as it is, and
/// then once.
pub(super) struct Folder {
    /// The folder of the tables, and the one of the photographs: `img` in it, if there is such a
    /// folder.
    data: PathBuf,
    images: PathBuf,
    /// Both as absolute paths, by which a table may name files.
    absolute: Vec<PathBuf>,
    /// The folders that names were found in or not, by how tables write them.
    parents: HashMap<String, Option<PathBuf>>,
    listings: HashMap<PathBuf, Listing>,
}

/// The files of a folder, by their names without endings, in composed form.
#[derive(Default)]
struct Listing {
    names: Vec<String>,
    by_stem: HashMap<String, Vec<u32>>,
    /// By what of their stems is alike; made for the first name that is not found.
    by_look: Option<HashMap<String, u32>>,
}

/// The file that a name is of.
enum Match {
    One(PathBuf),
    /// Files that may be meant, none of them clearly.
    Perhaps(Vec<String>),
}

/// The name of the folder of photographs.
pub(super) const IMAGES: &str = "img";

impl Folder {
    /// The photographs that a table in `data` names.
    pub fn of(data: &Path) -> Folder {
        let images = Some(data.join(IMAGES)).filter(|images| images.is_dir()).unwrap_or(data.to_path_buf());
        let here = if data == Path::new("") { Path::new(".") } else { data };
        let absolute = [std::path::absolute(here).ok(), here.canonicalize().ok()].into_iter().flatten().collect();
        Folder { data: data.to_path_buf(), images, absolute, parents: HashMap::new(), listings: HashMap::new() }
    }

    /// The path of the file that a table calls `name`, or why it cannot be found.
    pub fn find(&mut self, name: &str) -> Result<PathBuf, String> {
        let mut perhaps = Vec::new();
        let readings = self.readings(name);
        for relative in &readings {
            match self.find_relative(relative) {
                Match::One(path) => return Ok(path),
                Match::Perhaps(names) => perhaps.extend(names),
            }
        }
        let mut message = match readings.first() {
            Some(relative) => format!("no image file {}", self.images.join(relative).display()),
            None => format!("{name:?} leads out of the folder {}", self.images.display()),
        };
        if let Some(base) = name.rsplit(['/', '\\']).next().filter(|base| base.len() < name.len() && perhaps.is_empty())
            && let Match::One(path) = self.find_relative(base)
        {
            perhaps.push(path.display().to_string());
        }
        if let [first, more @ ..] = &perhaps[..] {
            let more = more.iter().map(|name| format!(" and {name}")).collect::<String>();
            let are = if more.is_empty() { "is" } else { "are" };
            message += &format!("; {first}{more} {are} there");
        }
        Err(message)
    }

    /// Readings of `name`, relative to the folder of photographs, the likeliest first. No reading
    /// leads out of the folder.
    fn readings(&self, name: &str) -> Vec<String> {
        let mut readings = Vec::new();
        // A backslash separates folders where tables come from Windows, and is a character like
        // others elsewhere.
        for name in [Some(name.to_string()), name.contains('\\').then(|| name.replace('\\', "/"))].into_iter().flatten()
        {
            let inside = self.absolute.iter().find_map(|folder| Path::new(&name).strip_prefix(folder).ok());
            let is_absolute = inside.is_some();
            let relative = inside.map_or(name.clone(), |inside| inside.to_string_lossy().into_owned());
            let below_images = relative.trim_start_matches("./").strip_prefix(&format!("{IMAGES}/")).map(String::from);
            let has_images = self.images != self.data;
            readings.extend((!is_absolute || !has_images).then_some(relative));
            readings.extend(below_images.filter(|_| has_images));
        }
        readings.retain(|name| stays_inside(name));
        readings
    }

    fn find_relative(&mut self, name: &str) -> Match {
        let (parent, base) = name.rsplit_once('/').unwrap_or(("", name));
        let as_written = self.images.join(name);
        let Some(folder) = self.parent(parent) else { return Match::Perhaps(Vec::new()) };
        if !self.listings.contains_key(&folder) {
            if as_written.is_file() {
                return Match::One(as_written);
            }
            self.listings.insert(folder.clone(), Listing::of(&folder));
        }
        match self.listings.get_mut(&folder).expect("it was listed").find(base) {
            Ok(found) if found == base => Match::One(as_written),
            Ok(found) => Match::One(folder.join(found)),
            Err(perhaps) => {
                Match::Perhaps(perhaps.iter().map(|name| folder.join(name).display().to_string()).collect())
            }
        }
    }

    /// The folder below that of the photographs that a table calls `name`, in whichever Unicode
    /// form.
    fn parent(&mut self, name: &str) -> Option<PathBuf> {
        if let Some(known) = self.parents.get(name) {
            return known.clone();
        }
        let as_written = self.images.join(name);
        let found = if as_written.is_dir() {
            Some(as_written)
        } else {
            let (above, base) = name.rsplit_once('/').unwrap_or(("", name));
            let above = if name.is_empty() { None } else { self.parent(above) };
            above.and_then(|above| folder_in(&above, base))
        };
        self.parents.insert(name.to_string(), found.clone());
        found
    }
}

/// The one folder in `above` whose name is `name` in composed form.
fn folder_in(above: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(above).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        path.file_name().and_then(|found| found.to_str()).is_some_and(|found| composed(found) == composed(name))
    };
    let mut found = entries.filter(|path| is_it(path) && path.is_dir());
    found.next().filter(|_| found.next().is_none())
}

impl Listing {
    fn of(folder: &Path) -> Listing {
        let mut listing = Listing::default();
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let is_file = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => entry.path().is_file(),
                kind => kind.is_ok_and(|kind| kind.is_file()),
            };
            if is_file && let Ok(name) = entry.file_name().into_string() {
                listing.names.push(name);
            }
        }
        listing.names.sort();
        for (index, name) in listing.names.iter().enumerate() {
            let (stem, _) = split_ending(name);
            listing.by_stem.entry(composed(stem).into_owned()).or_default().push(index as u32);
        }
        listing
    }

    /// The one file that `name` can be of: in another Unicode form, with its ending in another
    /// case, or with an ending that the name lacks. Otherwise those that it may be of.
    fn find(&mut self, name: &str) -> Result<&str, Vec<String>> {
        let (stem, ending) = split_ending(name);
        let of_stem = |stem: &str| {
            self.by_stem.get(&*composed(stem)).into_iter().flatten().map(|&index| &self.names[index as usize][..])
        };
        if let Some(same) = of_stem(stem).find(|found| *found == name) {
            return Ok(same);
        }
        let is_ending = |found: &&str| match (split_ending(found).1, ending) {
            (Some(found), Some(ending)) => found.eq_ignore_ascii_case(ending),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        let fits: Vec<&str> = of_stem(stem).filter(is_ending).collect();
        match fits[..] {
            [one] => return Ok(one),
            [_, ..] => return Err(fits.into_iter().map(String::from).collect()),
            [] => {}
        }
        // Another ending, one more ending, or letters of another case.
        let mut perhaps: Vec<String> =
            of_stem(stem).chain(ending.into_iter().flat_map(|_| of_stem(name))).map(String::from).collect();
        if perhaps.is_empty() {
            let names = &self.names;
            let by_look = self.by_look.get_or_insert_with(|| {
                names.iter().enumerate().map(|(index, name)| (alike::key(split_ending(name).0), index as u32)).collect()
            });
            perhaps.extend(by_look.get(&alike::key(stem)).map(|&index| names[index as usize].clone()));
        }
        Err(perhaps)
    }
}

/// A name, and the ending of a picture's file that it has.
fn split_ending(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) => {
            (stem, Some(ending))
        }
        _ => (name, None),
    }
}

/// A table can name any file of the machine; only those below the folder of images are photographs
/// of the set.
fn stays_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
