use crate::Warning;

/// What a loss leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnLoss {
    /// The observer is told, and the work goes on.
    #[default]
    Warn,
    /// The work goes on without a word, and without being counted.
    Ignore,
    /// [`Error::Strict`](crate::Error::Strict).
    Error,
}

/// What becomes of each kind of loss. The default tells all of them and refuses none.
///
/// ```
/// use oci_unpack::{OnLoss, Policies, UnpackOptions};
///
/// // An ordinary user who knows that devices will be missing, but wants every attribute.
/// let policies = Policies::default().devices(OnLoss::Ignore).xattrs(OnLoss::Error);
/// let options = UnpackOptions::default().policies(policies);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Policies {
    /// Extended attributes that the kernel or the file system refuses. Those that are left out because of an option
    /// ([`Warning::XattrExcluded`]) are told unless this is [`OnLoss::Ignore`], and are never an error.
    pub xattrs: OnLoss,
    /// Devices that may not be made; [`UnpackOptions::devices`](crate::UnpackOptions::devices) says what stands in
    /// for them.
    pub devices: OnLoss,
    /// Owners that can be neither set nor recorded.
    pub owners: OnLoss,
    /// Times that the file system cannot keep.
    pub times: OnLoss,
    /// Entries below something that is no directory, which is replaced by one.
    pub parents: OnLoss,
    /// Names that come twice in one layer, the later of which wins.
    pub duplicates: OnLoss,
    /// Oddities of the archive or its compression.
    pub format: OnLoss,
}

impl Policies {
    /// The same for every kind of loss.
    pub fn all(on_loss: OnLoss) -> Self {
        Self {
            xattrs: on_loss,
            devices: on_loss,
            owners: on_loss,
            times: on_loss,
            parents: on_loss,
            duplicates: on_loss,
            format: on_loss,
        }
    }

    /// Sets what a refused extended attribute leads to.
    pub fn xattrs(mut self, on_loss: OnLoss) -> Self {
        self.xattrs = on_loss;
        self
    }

    /// Sets what a device that may not be made leads to.
    pub fn devices(mut self, on_loss: OnLoss) -> Self {
        self.devices = on_loss;
        self
    }

    /// Sets what an owner that can be neither set nor recorded leads to.
    pub fn owners(mut self, on_loss: OnLoss) -> Self {
        self.owners = on_loss;
        self
    }

    /// Sets what a time that the file system cannot keep leads to.
    pub fn times(mut self, on_loss: OnLoss) -> Self {
        self.times = on_loss;
        self
    }

    /// Sets what an entry below something that is no directory leads to.
    pub fn parents(mut self, on_loss: OnLoss) -> Self {
        self.parents = on_loss;
        self
    }

    /// Sets what a name that comes twice in one layer leads to.
    pub fn duplicates(mut self, on_loss: OnLoss) -> Self {
        self.duplicates = on_loss;
        self
    }

    /// Sets what an oddity of the archive or its compression leads to.
    pub fn format(mut self, on_loss: OnLoss) -> Self {
        self.format = on_loss;
        self
    }

    /// What this loss leads to.
    pub(crate) fn of(&self, warning: &Warning) -> OnLoss {
        match warning {
            Warning::XattrExcluded { .. } if self.xattrs == OnLoss::Error => OnLoss::Warn,
            Warning::XattrExcluded { .. } | Warning::XattrRefused { .. } => self.xattrs,
            Warning::DeviceSkipped | Warning::DeviceReplaced | Warning::DeviceIsWhiteout => self.devices,
            Warning::OwnerDropped { .. } => self.owners,
            Warning::TimeClamped { .. } => self.times,
            Warning::ParentReplaced => self.parents,
            Warning::Duplicate => self.duplicates,
            Warning::Format { .. } => self.format,
        }
    }
}
