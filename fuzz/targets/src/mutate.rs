//! Altered inputs, the same ones for the same seed.

use std::iter;

use fastrand::Rng;

/// Longest input: what libFuzzer takes by default.
const LONGEST: usize = 4096;
/// Most alterations of one input.
const ALTERATIONS: usize = 4;
/// Numbers at the edges of what lengths can be.
const EDGES: [u32; 12] = [0, 1, 7, 8, 127, 128, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, u32::MAX];

/// Makes inputs out of others.
#[derive(Debug)]
pub struct Mutator(Rng);

impl Mutator {
    /// One whose inputs depend on `seed` only.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// An input that is somewhat like one of `corpus`, which has some.
    pub fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).clone();
        for _ in 0..self.0.usize(1..=ALTERATIONS) {
            self.alter(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn alter(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.0.usize(0..=input.len());
        let range = at..at + self.0.usize(0..=(input.len() - at).min(16));
        match self.0.u8(0..9) {
            0 => self.overwrite(input, at, |rng, byte| byte ^ (1 << rng.u8(0..8))),
            1 => self.overwrite(input, at, |rng, _| rng.u8(..)),
            2 => self.overwrite(input, at, |rng, byte| byte.wrapping_add(rng.u8(0..=16)).wrapping_sub(8)),
            3 => drop(input.drain(range)),
            4 => drop(input.splice(at..at, iter::repeat_n(self.0.u8(..), self.0.usize(1..=64)))),
            5 => {
                let copied = input[range].to_vec();
                drop(input.splice(at..at, copied));
            }
            6 => input.truncate(at),
            7 => self.write_edge(input, at),
            _ => {
                let other = self.pick(corpus);
                let from = self.0.usize(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }

    fn overwrite(&mut self, input: &mut [u8], at: usize, change: impl FnOnce(&mut Rng, u8) -> u8) {
        if let Some(byte) = input.get_mut(at) {
            *byte = change(&mut self.0, *byte);
        }
    }

    /// Writes a number over what is there, in one, two or four bytes.
    fn write_edge(&mut self, input: &mut [u8], at: usize) {
        let bytes = self.pick(&EDGES).to_be_bytes();
        let bytes = &bytes[bytes.len() - self.pick(&[1, 2, 4])..];
        if let Some(place) = input.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.0.usize(..from.len())]
    }
}
