//! How far the others are. A guard that does not know what it signed (R15) votes at no height that others have decided: it may have voted
//! there before the backup was made that it was put back to, and its vote is of no use to anybody.

use crate::elsewhere::Question;
use crate::network::Network;
use futures::future::join_all;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::Committee;
use palisade_types::units::Height;

/// The height up to which everything is decided, by the word of more than a third of the power; zero when fewer answer.
pub async fn by_others(network: &Network, committee: &Committee) -> Height {
    let heads = network.peers().into_iter().map(async |(peer, operator)| {
        let (_, seat) = committee.seat(&operator?)?;
        let answer = network.ask(peer, Question::Head.to_bytes().into()).await.ok()?;
        Some((Height::from_bytes(&answer).ok()?, seat.engine))
    });
    let heads = join_all(heads).await.into_iter().flatten().collect();
    credible(heads, committee.members.iter().map(|member| u128::from(member.engine)).sum())
}

/// The highest height that more than a third of the power says is decided: fewer may all lie.
fn credible(mut heads: Vec<(Height, u64)>, total: u128) -> Height {
    heads.sort_unstable_by(|one, other| other.cmp(one));
    let mut power = 0_u128;
    let enough = heads.into_iter().find(|(_, engine)| {
        power += u128::from(*engine);
        3 * power > total
    });
    enough.map_or(Height::new(0), |(height, _)| height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_a_third_may_lie_about_what_is_decided() {
        let of = |heads: &[(u64, u64)]| {
            let heads = heads.iter().map(|(height, power)| (Height::new(*height), *power)).collect();
            credible(heads, 4).get()
        };
        assert_eq!(of(&[(90, 1), (89, 1), (91, 1)]), 90);
        assert_eq!(of(&[(90, 1), (u64::MAX, 1), (89, 1)]), 90, "one liar is not believed");
        assert_eq!(of(&[(0, 1), (90, 1), (89, 1)]), 89, "also when he says too little");
        assert_eq!(of(&[(90, 1)]), 0);
        assert_eq!(of(&[(90, 2)]), 90);
        assert_eq!(of(&[]), 0);
    }
}
