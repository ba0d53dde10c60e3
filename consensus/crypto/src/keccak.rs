//! Keccak-256 of many messages: eight at a time where the processor has registers for that (AVX-512), in a fifth of the time, else
//! one by one.
//!
//! Eight sponges stand side by side, lane by lane, so that each step of the permutation is one instruction for all of them. `pulp` asks
//! the processor whether it has the instructions, and gives them out as safe functions to who has the answer. The permutation is
//! FIPS 202's (sections 3.2 and 3.3), the padding is the original Keccak's.

use crate::hash::Hash32;

/// The hashes of `messages`, or nothing where the processor cannot do several at once.
#[cfg(target_arch = "x86_64")]
pub(crate) fn several<M: AsRef<[u8]>>(messages: &[M]) -> Option<Vec<Hash32>> {
    let processor = pulp::x86::V4::try_new()?;
    let mut hashes = vec![[0; 32]; messages.len()];
    processor.vectorize(eight::Several { processor, messages, hashes: &mut hashes });
    Some(hashes)
}

/// The hashes of `messages`, or nothing where the processor cannot do several at once.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn several<M: AsRef<[u8]>>(_: &[M]) -> Option<Vec<Hash32>> {
    None
}

#[cfg(target_arch = "x86_64")]
mod eight {
    use crate::hash::Hash32;
    use core::arch::x86_64::__m512i;
    use pulp::x86::V4;

    /// How many messages are hashed at once.
    const WIDTH: usize = 8;
    /// How many bytes of a message one permutation takes in.
    const RATE: usize = 136;

    /// The lanes of all sponges, as numbers and as the processor holds them. Lane (x, y) stands at x + 5y.
    type Lanes = [[u64; WIDTH]; 25];
    type State = [__m512i; 25];

    const ROUNDS: [u64; 24] = [
        0x0000_0000_0000_0001,
        0x0000_0000_0000_8082,
        0x8000_0000_0000_808a,
        0x8000_0000_8000_8000,
        0x0000_0000_0000_808b,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8009,
        0x0000_0000_0000_008a,
        0x0000_0000_0000_0088,
        0x0000_0000_8000_8009,
        0x0000_0000_8000_000a,
        0x0000_0000_8000_808b,
        0x8000_0000_0000_008b,
        0x8000_0000_0000_8089,
        0x8000_0000_0000_8003,
        0x8000_0000_0000_8002,
        0x8000_0000_0000_0080,
        0x0000_0000_0000_800a,
        0x8000_0000_8000_000a,
        0x8000_0000_8000_8081,
        0x8000_0000_0000_8080,
        0x0000_0000_8000_0001,
        0x8000_0000_8000_8008,
    ];

    pub(super) struct Several<'a, M> {
        pub(super) processor: V4,
        pub(super) messages: &'a [M],
        pub(super) hashes: &'a mut [Hash32],
    }

    impl<M: AsRef<[u8]>> pulp::NullaryFnOnce for Several<'_, M> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            for (messages, hashes) in self.messages.chunks(WIDTH).zip(self.hashes.chunks_mut(WIDTH)) {
                let mut state: State = pulp::cast([[0_u64; WIDTH]; 25]);
                let blocks = |message: &M| message.as_ref().len() / RATE + 1;
                for block in 0..messages.iter().map(blocks).max().unwrap_or(0) {
                    let mut taken = [[0; WIDTH]; 25];
                    for (place, message) in messages.iter().enumerate() {
                        absorb(&mut taken, place, message.as_ref(), block);
                    }
                    let taken: State = pulp::cast(taken);
                    for (lane, taken) in state.iter_mut().zip(taken) {
                        *lane = self.processor.avx512f._mm512_xor_si512(*lane, taken);
                    }
                    permute(self.processor, &mut state);
                    let lanes: Lanes = pulp::cast(state);
                    for (place, (message, hash)) in messages.iter().zip(&mut *hashes).enumerate() {
                        if blocks(message) == block + 1 {
                            squeeze(&lanes, place, hash);
                        }
                    }
                }
            }
        }
    }

    /// What one of the sponges takes in of one block of its message; after the last that is nothing.
    #[inline(always)]
    fn absorb(taken: &mut Lanes, place: usize, message: &[u8], block: usize) {
        let Some(rest) = message.get(block * RATE..) else { return };
        let mut bytes = [0; RATE];
        if let Some(whole) = rest.first_chunk::<RATE>() {
            bytes = *whole;
        } else {
            bytes[..rest.len()].copy_from_slice(rest);
            bytes[rest.len()] = 1;
            bytes[RATE - 1] |= 0x80;
        }
        let (words, _) = bytes.as_chunks();
        for (lane, word) in taken.iter_mut().zip(words) {
            lane[place] = u64::from_le_bytes(*word);
        }
    }

    #[inline(always)]
    fn squeeze(lanes: &Lanes, place: usize, hash: &mut Hash32) {
        let (words, _) = hash.as_chunks_mut();
        for (lane, word) in lanes.iter().zip(words) {
            *word = lane[place].to_le_bytes();
        }
    }

    /// Keccak-f[1600].
    #[inline(always)]
    fn permute(processor: V4, a: &mut State) {
        for constant in ROUNDS {
            *a = round(processor, a, pulp::cast([constant; WIDTH]));
        }
    }

    /// One round. Everything is inlined by order: what is not would be compiled for a processor without the instructions.
    #[inline(always)]
    fn round(processor: V4, a: &State, constant: __m512i) -> State {
        let f = processor.avx512f;
        let mut columns = [constant; 5];
        for (x, column) in columns.iter_mut().enumerate() {
            *column = sum(processor, sum(processor, a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
        }
        // Where each lane of the next state comes from, and by how many bits it is turned.
        macro_rules! from {
            ($x:literal + 5 * $y:literal, $bits:literal) => {{
                let after = f._mm512_rol_epi64::<1>(columns[($x + 1) % 5]);
                f._mm512_rol_epi64::<$bits>(sum(processor, a[$x + 5 * $y], columns[($x + 4) % 5], after))
            }};
        }
        let b = [
            from!(0 + 5 * 0, 0),
            from!(1 + 5 * 1, 44),
            from!(2 + 5 * 2, 43),
            from!(3 + 5 * 3, 21),
            from!(4 + 5 * 4, 14),
            from!(3 + 5 * 0, 28),
            from!(4 + 5 * 1, 20),
            from!(0 + 5 * 2, 3),
            from!(1 + 5 * 3, 45),
            from!(2 + 5 * 4, 61),
            from!(1 + 5 * 0, 1),
            from!(2 + 5 * 1, 6),
            from!(3 + 5 * 2, 25),
            from!(4 + 5 * 3, 8),
            from!(0 + 5 * 4, 18),
            from!(4 + 5 * 0, 27),
            from!(0 + 5 * 1, 36),
            from!(1 + 5 * 2, 10),
            from!(2 + 5 * 3, 15),
            from!(3 + 5 * 4, 56),
            from!(2 + 5 * 0, 62),
            from!(3 + 5 * 1, 55),
            from!(4 + 5 * 2, 39),
            from!(0 + 5 * 3, 41),
            from!(1 + 5 * 4, 2),
        ];
        let mut next = b;
        for y in 0..5 {
            for x in 0..5 {
                next[5 * y + x] = chi(processor, b[5 * y + x], b[5 * y + (x + 1) % 5], b[5 * y + (x + 2) % 5]);
            }
        }
        next[0] = f._mm512_xor_si512(next[0], constant);
        next
    }

    /// a ^ b ^ c. The number gives the result for each of the eight values of three bits.
    #[inline(always)]
    fn sum(processor: V4, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        processor.avx512f._mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    /// a ^ (!b & c).
    #[inline(always)]
    fn chi(processor: V4, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        processor.avx512f._mm512_ternarylogic_epi64::<0xd2>(a, b, c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::keccak256;

    #[test]
    fn eight_at_a_time_give_the_hashes_of_one_at_a_time() {
        let bytes: Vec<u8> = (0..700_u32).map(|at| (at * at / 7) as u8).collect();
        let same = |messages: &[&[u8]]| {
            let each: Vec<_> = messages.iter().map(|message| keccak256(message)).collect();
            assert_eq!(crate::hash::keccak256_each(messages), each);
            assert!(several(messages).is_none_or(|hashes| hashes == each));
        };
        // Every length around the ends of blocks, beside messages of all others.
        let all: Vec<_> = (0..bytes.len()).map(|length| &bytes[..length]).collect();
        same(&all);
        let mixed: Vec<_> = (0..bytes.len()).map(|place| &bytes[place..(place * 37 % 700).max(place)]).collect();
        same(&mixed);
        for count in 0..20 {
            same(&all[130..130 + count]);
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn they_are_done_at_once_where_the_processor_can() {
        let can = std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl");
        assert_eq!(several(&[b""]).is_some(), can);
    }
}
