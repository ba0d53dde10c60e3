//! Test vectors, run against our own code.
//!
//! A file is recognised by its fields, never by its name, so that the same check runs on any file of the
//! same form. A kind is one function that looks at a [`File`] and either says that it is not of its kind
//! or what came of it; [`KINDS`] lists them. Files that another room checks (contracts, the risk engine)
//! are skipped with that reason.

mod adaptor;
mod babylon_checkpoints;
mod babylon_headers;
mod bip340;
mod bip341;
mod bls;
mod chainwork;
mod checkpoints;
mod delegations;
mod elsewhere;
mod eots;
mod ethereum;
mod forks;
mod headers;
mod inclusion;
mod interchange;
mod parameters;
mod parsed;
mod possession;
mod proofs;
mod relay;
mod scripts;
mod slashes;
mod spends;
mod spv;
mod stakes;
mod tbv;
mod wycheproof;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// What came of one file.
#[derive(Debug)]
pub enum Outcome {
    /// All cases came out as the file says.
    Passed(Tally),
    /// A case did not; the text names it and says why.
    Failed(String),
    /// Nothing here can run it, for this reason.
    Skipped(&'static str),
    /// No kind recognises its fields.
    Unknown,
}

impl Outcome {
    fn of(result: Result<Tally>) -> Self {
        match result {
            Ok(tally) if tally.checked == 0 => Self::Skipped("holds no case that applies to our code"),
            Ok(tally) => Self::Passed(tally),
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(Tally { checked, left_out: 0 }) => write!(f, "passed ({checked})"),
            Self::Passed(Tally { checked, left_out }) => {
                write!(f, "passed ({checked}, {left_out} left out)")
            }
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// How many cases of a file were checked, and how many are about what our types cannot express.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Cases that came out as the file says.
    pub checked: usize,
    /// Cases outside of what our code does, such as messages that are not 32 bytes.
    pub left_out: usize,
}

impl Tally {
    fn one() -> Self {
        Self { checked: 1, left_out: 0 }
    }
}

/// A file as the kinds look at it.
#[derive(Debug)]
pub enum File {
    /// A JSON document.
    Json(Value),
    /// Comma-separated rows under a header.
    Table(Table),
    /// Questions to a JSON-RPC server and its answers, as Ethereum's execution-apis write them down.
    Exchanges(Vec<Exchange>),
    /// Anything else, with its name's ending.
    Other(String),
}

impl File {
    /// Reads a file of at most [`MAX_BYTES`].
    ///
    /// # Errors
    ///
    /// When it cannot be read, is too long, or says that it is JSON and is not.
    pub fn read(path: &Path) -> Result<Self> {
        if fs::metadata(path)?.len() > MAX_BYTES {
            bail!("longer than {MAX_BYTES} bytes");
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        Ok(match ending.as_str() {
            "json" => Self::Json(serde_json::from_slice(&fs::read(path)?).context("no JSON")?),
            "csv" => Self::Table(Table::read(&fs::read_to_string(path)?)),
            "io" => Self::Exchanges(Exchange::read(&fs::read_to_string(path)?)?),
            _ => Self::Other(ending),
        })
    }

    fn json(&self) -> Option<&Value> {
        if let Self::Json(value) = self { Some(value) } else { None }
    }

    fn table(&self) -> Option<&Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }
}

/// One question to a JSON-RPC server and its answer.
#[derive(Debug)]
pub struct Exchange {
    asked: Value,
    said: Value,
}

impl Exchange {
    /// Lines of `>>` and `<<` in turn; what begins with `//` is a comment.
    fn read(text: &str) -> Result<Vec<Self>> {
        let mut exchanges = Vec::new();
        let mut asked = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
            if let Some(question) = line.strip_prefix(">> ") {
                asked = Some(serde_json::from_str(question).context("a question that is no JSON")?);
            } else if let Some(answer) = line.strip_prefix("<< ") {
                let said = serde_json::from_str(answer).context("an answer that is no JSON")?;
                exchanges.push(Self { asked: asked.take().context("an answer without its question")?, said });
            } else {
                bail!("a line that is neither a question nor an answer");
            }
        }
        Ok(exchanges)
    }

    /// What was answered, an error aside.
    fn result(&self) -> Result<&Value> {
        self.said.get("result").context("the answer is an error")
    }
}

/// Rows of text under a header. The last column may hold commas.
#[derive(Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let header: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let rows = lines.map(|line| line.splitn(header.len(), ',').map(str::to_owned).collect()).collect();
        Self { header, rows }
    }

    fn has(&self, columns: &[&str]) -> bool {
        columns.iter().all(|column| self.column(column).is_some())
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { table: self, cells })
    }

    /// Checks every row; `check` says whether the row applies to our code.
    fn check(&self, check: impl Fn(&Row<'_>) -> Result<bool>) -> Result<Tally> {
        tally(self.rows(), |row| row.text("index").unwrap_or("?").to_owned(), |row| check(&row))
    }
}

/// One row of a [`Table`].
struct Row<'a> {
    table: &'a Table,
    cells: &'a [String],
}

impl<'a> Row<'a> {
    fn text(&self, column: &str) -> Result<&'a str> {
        self.table
            .column(column)
            .and_then(|place| self.cells.get(place))
            .map(String::as_str)
            .with_context(|| format!("no column {column}"))
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        unhex(self.text(column)?).with_context(|| column.to_owned())
    }

    fn array<const N: usize>(&self, column: &str) -> Result<[u8; N]> {
        sized(&self.bytes(column)?).with_context(|| column.to_owned())
    }

    /// A column that says `TRUE` or `FALSE`.
    fn verdict(&self, column: &str) -> Result<bool> {
        match self.text(column)? {
            "TRUE" => Ok(true),
            "FALSE" => Ok(false),
            other => bail!("{column} says {other}"),
        }
    }
}

/// Looks at a file; nothing when it is not of this kind.
type Kind = fn(&File) -> Option<Outcome>;

/// Every kind of file that is known, the more particular before the more general.
const KINDS: &[Kind] = &[
    bls::hash_to_curve,
    bls::torsion,
    bls::ethereum,
    bip340::table,
    eots::derived,
    eots::pair,
    eots::votes,
    eots::live_votes,
    adaptor::tables,
    adaptor::derived,
    parameters::tables,
    parameters::first_phase,
    parameters::committee,
    scripts::staking,
    scripts::derived,
    delegations::made,
    delegations::registered,
    stakes::unbonded,
    stakes::identified,
    stakes::wallet,
    spends::complete,
    inclusion::proofs,
    inclusion::blocks,
    babylon_checkpoints::pairs,
    babylon_headers::bases,
    babylon_headers::bip54,
    possession::hashing,
    possession::bip322,
    bip341::wallet,
    tbv::psbt,
    wycheproof::ed25519,
    wycheproof::ecdsa,
    headers::table,
    chainwork::table,
    checkpoints::list,
    forks::table,
    forks::blocks,
    forks::works,
    relay::stretch,
    spv::summa,
    spv::core,
    ethereum::exchanges,
    ethereum::header,
    ethereum::list,
    ethereum::receipt_alone,
    interchange::eip_3076,
    ethereum::receipts_alone,
    ethereum::fee_history,
    proofs::bundles,
    slashes::check,
    elsewhere::skipped,
];

/// Runs one file.
#[must_use]
pub fn run(path: &Path) -> Outcome {
    match File::read(path) {
        Ok(file) => KINDS.iter().find_map(|kind| kind(&file)).unwrap_or(Outcome::Unknown),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// How many files came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files all of whose cases came out as they say.
    pub passed: usize,
    /// Files with a case that did not.
    pub failed: usize,
    /// Files that are checked elsewhere or cannot apply.
    pub skipped: usize,
    /// Files that no kind recognises.
    pub unknown: usize,
}

/// Runs every file below the paths in the order of their names and writes a line for each.
///
/// # Errors
///
/// When a folder cannot be listed or a line cannot be written; a file that fails is in the summary.
pub fn report(paths: &[PathBuf], out: &mut impl Write) -> io::Result<Summary> {
    let mut summary = Summary::default();
    for root in paths {
        for path in files(root)? {
            let outcome = run(&path);
            match outcome {
                Outcome::Passed(_) => summary.passed += 1,
                Outcome::Failed(_) => summary.failed += 1,
                Outcome::Skipped(_) => summary.skipped += 1,
                Outcome::Unknown => summary.unknown += 1,
            }
            writeln!(out, "{}: {outcome}", path.display())?;
        }
    }
    Ok(summary)
}

/// Every file at or below a path but the notes (`.md`), in the order of their names.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    if !root.is_dir() {
        return Ok(vec![root.to_owned()]);
    }
    let mut entries = fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries.iter().filter(|path| path.extension().is_none_or(|ending| ending != "md")) {
        found.extend(files(entry)?);
    }
    Ok(found)
}

/// Checks cases one after the other and stops at the first that comes out otherwise, naming it.
fn tally<T>(
    cases: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> String,
    check: impl Fn(T) -> Result<bool>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    for case in cases {
        let name = name(&case);
        if check(case).with_context(|| format!("case {name}"))? {
            tally.checked += 1;
        } else {
            tally.left_out += 1;
        }
    }
    Ok(tally)
}

/// Checks the members of a list, which are named by their places.
fn tally_list(list: &Value, check: impl Fn(&Value) -> Result<()>) -> Result<Tally> {
    let cases = list.as_array().context("no list")?.iter().enumerate();
    tally(cases, |(place, _)| place.to_string(), |(_, case)| check(case).map(|()| true))
}

/// Whether an object has all these fields.
fn has(value: &Value, fields: &[&str]) -> bool {
    fields.iter().all(|field| value.get(field).is_some())
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field].as_str().with_context(|| format!("{field} is no text"))
}

fn number(value: &Value, field: &str) -> Result<u64> {
    value[field].as_u64().with_context(|| format!("{field} is no whole number"))
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a [Value]> {
    value[field].as_array().map(Vec::as_slice).with_context(|| format!("{field} is no list"))
}

fn bytes(value: &Value, field: &str) -> Result<Vec<u8>> {
    unhex(text(value, field)?).with_context(|| field.to_owned())
}

fn array<const N: usize>(value: &Value, field: &str) -> Result<[u8; N]> {
    sized(&bytes(value, field)?).with_context(|| field.to_owned())
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    Ok(hex::decode(text.strip_prefix("0x").unwrap_or(text))?)
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| anyhow!("{} bytes where {N} belong", bytes.len()))
}

/// The longest file that is read.
const MAX_BYTES: u64 = 64 << 20;
