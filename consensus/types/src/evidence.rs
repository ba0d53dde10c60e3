//! Evidence: a contradiction that no honest operator signs, in a form that convinces anyone without our help.

use crate::attestation::Statement;
use crate::block::Header;
use crate::canonical::{Blob, canonical, canonical_enum};
use crate::certificate::verify_eots;
use crate::contradiction::CertificatePair;
use crate::ids::{
    BlsSignature, ChainId, Digest, Domain, Ed25519Signature, Hash, OperatorId, SchnorrKey, SchnorrSignature, VaultId,
};
use crate::operator::{KeyRow, Operator};
use crate::proof::RowProof;
use crate::randomness::Opening;
use crate::row::{Row, RowKey};
use crate::units::Height;
use crate::verdict::CertifiedVerdict;
use palisade_crypto::{bls, ed25519, eots};

/// The largest engine vote that evidence may carry, in bytes.
pub const MAX_VOTE: usize = 512;

/// A proof of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two digests in one slot of a BLS domain.
    Pair(BlsPair),
    /// Two digests in one checkpoint slot: it also gives away the key.
    EotsPair(EotsPair),
    /// An attestation whose own state names another block at a height attested before (R1).
    Ancestor(Box<AncestorFault>),
    /// Two engine votes of one height, round and type: jails only (R18).
    Votes(VotePair),
    /// A covenant member's signature on a spend of a vault that nobody registered (R27). It comes with an observation, since whether
    /// somebody did is what every voter's follower and the ledger know together.
    Covenant(CovenantBreach),
    /// The finality provider's secret key itself (R29).
    ExposedKey(ExposedKey),
    /// The secret key of a finality provider of whatever service: it accuses nobody here, but vaults that name it can be slashed
    /// by anybody (R29).
    ExposedProvider(ExposedProvider),
    /// What a service's quorum says of an operator; it takes what he allocates to that service and nothing else.
    Verdict(Box<CertifiedVerdict>),
    /// Two certificates of one committee that contradict each other: everybody who signed both (R1).
    Certificates(Box<CertificatePair>),
}
canonical_enum!(Evidence {
    0 => Pair(pair), 1 => EotsPair(pair), 2 => Ancestor(fault), 3 => Votes(pair), 4 => Covenant(breach), 5 => ExposedKey(key),
    6 => ExposedProvider(provider), 7 => Verdict(verdict), 8 => Certificates(pair),
});

impl<T: crate::canonical::Canonical> crate::canonical::Canonical for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
    fn read(input: &mut crate::canonical::Reader<'_>) -> Result<Self, crate::canonical::Malformed> {
        T::read(input).map(Self::new)
    }
}

/// Two BLS attestations of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlsPair {
    /// Who signed both.
    pub operator: OperatorId,
    /// In which domain.
    pub domain: Domain,
    /// In which slot.
    pub slot: u64,
    /// The one.
    pub first: (Digest, BlsSignature),
    /// The other.
    pub second: (Digest, BlsSignature),
}
canonical!(BlsPair { operator, domain, slot, first, second });

/// Two EOTS attestations of one slot, made with the one nonce that was promised for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EotsPair {
    /// Who signed both.
    pub operator: OperatorId,
    /// In which domain.
    pub domain: Domain,
    /// In which checkpoint slot.
    pub slot: u64,
    /// R.x.
    pub nonce: Hash,
    /// Shows that the nonce was promised.
    pub opening: Opening,
    /// The one: digest and s.
    pub first: (Digest, Hash),
    /// The other.
    pub second: (Digest, Hash),
}
canonical!(EotsPair { operator, domain, slot, nonce, opening, first, second });

/// Two attestations of different slots of the ledger's domain that cannot both be honest: the later block's
/// state says that another block stands at the earlier height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AncestorFault {
    /// Who signed both.
    pub operator: OperatorId,
    /// The ledger's domain.
    pub domain: Domain,
    /// The earlier slot, digest and signature.
    pub slot: u64,
    /// What he attested there.
    pub first: (Digest, BlsSignature),
    /// The later block's header; its height is the later slot and its id the later digest.
    pub header: Header,
    /// His signature on the later one.
    pub second: BlsSignature,
    /// Which block the later one's state names at `slot`.
    pub named: Hash,
    /// Proves that row in the header's state root.
    pub proof: RowProof,
}
canonical!(AncestorFault { operator, domain, slot, first, header, second, named, proof });

/// Two votes of the engine, as signed bytes. Which height, round and type they are of is read by
/// `agreement`, the only crate that knows the engine's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotePair {
    /// Who signed both.
    pub operator: OperatorId,
    /// The engine's height.
    pub height: Height,
    /// The one: signed bytes and signature.
    pub first: (Blob<MAX_VOTE>, Ed25519Signature),
    /// The other.
    pub second: (Blob<MAX_VOTE>, Ed25519Signature),
}
canonical!(VotePair { operator, height, first, second });

/// A covenant member's signature, found in the witness of a transaction that spends a known vault and is none of those that an honest
/// member signs (R27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CovenantBreach {
    /// The vault.
    pub vault: VaultId,
    /// The member.
    pub member: SchnorrKey,
    /// The height of the block that holds the transaction.
    pub height: u64,
    /// The transaction, internal byte order.
    pub transaction: Hash,
    /// What the signature is over: BIP-341's sighash of the input that spends the vault.
    pub sighash: Hash,
    /// The signature, BIP-340.
    pub signature: SchnorrSignature,
}
canonical!(CovenantBreach { vault, member, height, transaction, sighash, signature });

impl CovenantBreach {
    /// Whether the member signed. What of is for whoever reads transactions to say.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let member = eots::PublicKey::from_bytes(self.member.as_bytes());
        member.is_ok_and(|key| key.verify_schnorr(self.sighash.as_bytes(), self.signature.as_bytes()).is_ok())
    }
}

/// The secret behind a finality provider's key: published by whoever completed a slashing transaction, or leaked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExposedKey {
    /// Whose key it was.
    pub operator: OperatorId,
    /// The Bitcoin finality domain.
    pub domain: Domain,
    /// The scalar. It is public from here on.
    pub secret: [u8; 32],
}
canonical!(ExposedKey { operator, domain, secret });

impl std::fmt::Debug for ExposedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExposedKey").field("operator", &self.operator).finish_non_exhaustive()
    }
}

/// The secret behind a key that vaults name as one of their finality providers. Several services may stand behind one vault, each
/// with a provider of its own; any one of them unlocks its slashing leaf. Whose it is, and what he did, is for his service to say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExposedProvider {
    /// The scalar. It is public from here on.
    pub secret: [u8; 32],
}
canonical!(ExposedProvider { secret });

impl ExposedProvider {
    /// The key that it is the secret of; `None` when it is of none.
    #[must_use]
    pub fn key(&self) -> Option<SchnorrKey> {
        let secret = eots::SecretKey::from_bytes(&self.secret).ok()?;
        Some(SchnorrKey::new(secret.public().to_bytes()))
    }
}

impl std::fmt::Debug for ExposedProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ExposedProvider").field(&self.key()).finish()
    }
}

/// What the ledger holds of a finality provider's key whose secret is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The secret, for whoever carries a slash out.
    pub provider: ExposedProvider,
    /// The height of the block since which it is known.
    pub since: Height,
}
canonical!(Exposure { provider, since });

/// Why evidence proves nothing. It says nothing of the accused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The ledger has no such operator.
    #[error("unknown operator")]
    UnknownOperator,
    /// Both say the same, or the later agrees with the earlier.
    #[error("the two statements are compatible")]
    Compatible,
    /// The domain is not one this evidence can speak of.
    #[error("the domain is not one this kind of evidence can speak of")]
    WrongDomain,
    /// No vault with anything to take names the key.
    #[error("no vault names this finality provider")]
    UnknownProvider,
    /// No key of the operator made one of the signatures.
    #[error("a signature is not by any key of the operator")]
    BadSignature,
    /// The nonce was not promised for this slot.
    #[error("the nonce was not committed for this slot")]
    NotCommitted,
    /// The state proof does not lead to the header.
    #[error("the state proof does not hold")]
    BadProof,
    /// The stake behind the fault can no longer be taken.
    #[error("the evidence has expired")]
    Expired,
    /// This operator is convicted of this fault already (R25).
    #[error("already convicted of this fault")]
    AlreadyConvicted,
    /// No such service or registration stands in the ledger.
    #[error("no such registration of a service stands in the ledger")]
    UnknownService,
    /// The service's own rules do not allow this verdict.
    #[error("the rules of the service do not allow this verdict")]
    OverRules,
    /// The ledger has no such committee, or a certificate is not of it.
    #[error("a certificate is not of that epoch's committee")]
    UnknownCommittee,
    /// The service's quorum does not say it.
    #[error("the service's quorum does not say this")]
    NoQuorum,
}

impl Unproven {
    /// Whether a ledger that is further, or less far, may find it proven: then nobody is to blame for passing it on.
    #[must_use]
    pub const fn depends_on_head(&self) -> bool {
        match self {
            Self::UnknownOperator
            | Self::UnknownProvider
            | Self::NotCommitted
            | Self::Expired
            | Self::AlreadyConvicted
            | Self::UnknownService
            | Self::UnknownCommittee
            | Self::NoQuorum => true,
            Self::Compatible | Self::WrongDomain | Self::BadSignature | Self::BadProof | Self::OverRules => false,
        }
    }
}

/// What every proof needs to know of the network.
#[derive(Clone, Copy, Debug)]
pub struct Domains {
    /// The network.
    pub chain: ChainId,
    /// Its ledger domain.
    pub ledger: Domain,
    /// Its Bitcoin finality domain.
    pub bitcoin: Domain,
    /// Its domain of vault claims.
    pub claim: Domain,
    /// Its domain of orders.
    pub order: Domain,
    /// Its domain of successions (R21).
    pub succession: Domain,
    /// The chain id that the contracts and the keys are bound to: its own, but for a successor (R21).
    pub founder: ChainId,
    /// The Bitcoin finality domain of that one: finality keys are derived for it, and stay what vaults name.
    pub keys: Domain,
    /// R2's N.
    pub interval: u64,
}

/// A fault nobody can dispute. Only [`Evidence::prove`] makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProvenFault {
    operator: OperatorId,
    domain: Domain,
    slot: u64,
    exposed: Option<[u8; 32]>,
}

impl std::fmt::Debug for ProvenFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProvenFault")
            .field("operator", &self.operator)
            .field("domain", &self.domain)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl ProvenFault {
    /// Who.
    #[must_use]
    pub const fn operator(&self) -> OperatorId {
        self.operator
    }
    /// In which domain.
    #[must_use]
    pub const fn domain(&self) -> Domain {
        self.domain
    }
    /// In which slot.
    #[must_use]
    pub const fn slot(&self) -> u64 {
        self.slot
    }
    /// The finality provider's secret, when the fault gives it away.
    #[must_use]
    pub const fn exposed(&self) -> Option<[u8; 32]> {
        self.exposed
    }
}

impl Evidence {
    /// The accused; `None` where nobody is, where the network's genesis says whom it means, or a committee.
    #[must_use]
    pub fn operator(&self) -> Option<OperatorId> {
        match self {
            Self::Pair(pair) => Some(pair.operator),
            Self::EotsPair(pair) => Some(pair.operator),
            Self::Ancestor(fault) => Some(fault.operator),
            Self::Votes(pair) => Some(pair.operator),
            Self::ExposedKey(key) => Some(key.operator),
            Self::Verdict(verdict) => Some(verdict.verdict.operator),
            Self::Covenant(_) | Self::ExposedProvider(_) | Self::Certificates(_) => None,
        }
    }

    /// The domain of the fault; `None` for engine votes, which are no attestations, and for what nobody but the
    /// ledger can judge.
    #[must_use]
    pub fn domain(&self) -> Option<Domain> {
        match self {
            Self::Pair(pair) => Some(pair.domain),
            Self::EotsPair(pair) => Some(pair.domain),
            Self::Ancestor(fault) => Some(fault.domain),
            Self::Votes(_) | Self::Covenant(_) | Self::ExposedProvider(_) => None,
            Self::ExposedKey(key) => Some(key.domain),
            Self::Verdict(verdict) => Some(verdict.certificate.domain),
            Self::Certificates(pair) => Some(pair.first.domain),
        }
    }

    /// Checks the proof against the operator's own row: no old member list is needed (R12). Expiry and
    /// earlier convictions are the ledger's to judge. `committed` says whether a commitment (by its id) stands
    /// in the ledger for this operator. Pairs of engine votes are not judged here but by `agreement`, exposed providers,
    /// verdicts and certificates by the ledger; a covenant's breach is a fact that an observation tells.
    ///
    /// # Errors
    ///
    /// [`Unproven`] says what is wrong with the evidence.
    pub fn prove(
        &self,
        domains: &Domains,
        operator: &Operator,
        committed: impl Fn(&Hash) -> bool,
    ) -> Result<ProvenFault, Unproven> {
        if Some(operator.id) != self.operator() {
            return Err(Unproven::UnknownOperator);
        }
        match self {
            Self::Pair(pair) => pair.prove(domains, operator),
            Self::EotsPair(pair) => pair.prove(domains, operator, committed),
            Self::Ancestor(fault) => fault.prove(domains, operator),
            Self::Votes(_)
            | Self::Covenant(_)
            | Self::ExposedProvider(_)
            | Self::Verdict(_)
            | Self::Certificates(_) => Err(Unproven::WrongDomain),
            Self::ExposedKey(key) => key.prove(domains, operator),
        }
    }
}

impl BlsPair {
    /// The key row that made both signatures, which an executor names to the contract.
    ///
    /// # Errors
    ///
    /// As [`Evidence::prove`].
    pub fn signed_with<'a>(&self, chain: &ChainId, operator: &'a Operator) -> Result<&'a KeyRow, Unproven> {
        if self.first.0 == self.second.0 {
            return Err(Unproven::Compatible);
        }
        let (domain, slot) = (self.domain, self.slot);
        operator
            .keys
            .iter()
            .find(|row| {
                [&self.first, &self.second].iter().all(|(digest, signature)| {
                    bls_holds(chain, row, &Statement { domain, slot, digest: *digest }, signature)
                })
            })
            .ok_or(Unproven::BadSignature)
    }

    fn prove(&self, domains: &Domains, operator: &Operator) -> Result<ProvenFault, Unproven> {
        if self.domain == domains.bitcoin {
            return Err(Unproven::WrongDomain);
        }
        self.signed_with(&domains.chain, operator)?;
        Ok(ProvenFault { operator: self.operator, domain: self.domain, slot: self.slot, exposed: None })
    }
}

impl EotsPair {
    fn prove(
        &self,
        domains: &Domains,
        operator: &Operator,
        committed: impl Fn(&Hash) -> bool,
    ) -> Result<ProvenFault, Unproven> {
        if self.domain != domains.bitcoin {
            return Err(Unproven::WrongDomain);
        }
        if self.first.0 == self.second.0 {
            return Err(Unproven::Compatible);
        }
        if !committed(&self.opening.commitment.id())
            || !self.opening.opens(&self.nonce, Height::new(self.slot), domains.interval)
        {
            return Err(Unproven::NotCommitted);
        }
        let secret =
            operator.keys.iter().find_map(|row| self.extract(domains, row).ok()).ok_or(Unproven::BadSignature)?;
        Ok(ProvenFault {
            operator: self.operator,
            domain: self.domain,
            slot: self.slot,
            exposed: Some(*secret.to_bytes()),
        })
    }

    fn extract(&self, domains: &Domains, row: &KeyRow) -> Result<eots::SecretKey, ()> {
        let message = |digest| Statement { domain: self.domain, slot: self.slot, digest }.eots_message(&domains.chain);
        let (first, second) = (message(self.first.0), message(self.second.0));
        verify_eots(&row.eots, &self.nonce, &first, &self.first.1)?;
        verify_eots(&row.eots, &self.nonce, &second, &self.second.1)?;
        let key = eots::PublicKey::from_bytes(row.eots.as_bytes()).map_err(|_| ())?;
        let nonce = eots::PublicNonce::from_bytes(self.nonce.as_bytes()).map_err(|_| ())?;
        let s = |bytes: &Hash| eots::EotsSignature(*bytes.as_bytes());
        eots::extract(&key, &nonce, (&first, &s(&self.first.1)), (&second, &s(&self.second.1))).map_err(|_| ())
    }
}

impl AncestorFault {
    /// The key rows that made the earlier and the later signature, which an executor names to the contract.
    ///
    /// # Errors
    ///
    /// [`Unproven::BadSignature`] when a signature is by none of the operator's keys.
    pub fn signed_with<'a>(&self, chain: &ChainId, operator: &'a Operator) -> Result<[&'a KeyRow; 2], Unproven> {
        let earlier = Statement { domain: self.domain, slot: self.slot, digest: self.first.0 };
        let slot = self.header.height.get();
        let later = Statement { domain: self.domain, slot, digest: self.header.id().into() };
        let row = |statement: &Statement, signature: &BlsSignature| {
            let mut rows = operator.keys.iter();
            rows.find(|row| bls_holds(chain, row, statement, signature)).ok_or(Unproven::BadSignature)
        };
        Ok([row(&earlier, &self.first.1)?, row(&later, &self.second)?])
    }

    fn prove(&self, domains: &Domains, operator: &Operator) -> Result<ProvenFault, Unproven> {
        if self.domain != domains.ledger || self.header.chain != domains.chain {
            return Err(Unproven::WrongDomain);
        }
        if self.slot >= self.header.height.get() || Digest::new(*self.named.as_bytes()) == self.first.0 {
            return Err(Unproven::Compatible);
        }
        let key = RowKey::Block(Height::new(self.slot));
        let row = Row::Block(crate::ids::BlockId::new(*self.named.as_bytes()));
        self.proof.proves(&self.header.state_root, &key, Some(&row)).map_err(|_| Unproven::BadProof)?;
        self.signed_with(&domains.chain, operator)?;
        Ok(ProvenFault { operator: self.operator, domain: self.domain, slot: self.slot, exposed: None })
    }
}

impl ExposedKey {
    fn prove(&self, domains: &Domains, operator: &Operator) -> Result<ProvenFault, Unproven> {
        if self.domain != domains.bitcoin {
            return Err(Unproven::WrongDomain);
        }
        let secret = eots::SecretKey::from_bytes(&self.secret).map_err(|_| Unproven::BadSignature)?;
        let public = secret.public().to_bytes();
        if !operator.keys.iter().any(|row| *row.eots.as_bytes() == public) {
            return Err(Unproven::BadSignature);
        }
        Ok(ProvenFault { operator: self.operator, domain: self.domain, slot: 0, exposed: Some(self.secret) })
    }
}

impl VotePair {
    /// Whether both signatures are by an Ed25519 key of the operator over different bytes.
    #[must_use]
    pub fn signed_by(&self, operator: &Operator) -> bool {
        self.first.0 != self.second.0
            && [&self.first, &self.second].iter().all(|(bytes, signature)| {
                operator.keys.iter().any(|row| {
                    ed25519::PublicKey::from_bytes(row.ed25519.as_bytes())
                        .is_ok_and(|key| key.verify(bytes, &ed25519::Signature(*signature.as_bytes())).is_ok())
                })
            })
    }
}

fn bls_holds(chain: &ChainId, row: &KeyRow, statement: &Statement, signature: &BlsSignature) -> bool {
    let (Ok(key), Ok(signature)) =
        (bls::PublicKey::from_bytes(row.bls.as_bytes()), bls::Signature::from_bytes(signature.as_bytes()))
    else {
        return false;
    };
    key.verify(&statement.bls_message(chain), &signature).is_ok()
}
