use payer::Payer;

use super::{Finding, Patient};

/// Asks the payer's own memory.
pub(super) async fn examine(payer: &Payer, patient: &Patient, findings: &mut Vec<Finding>) {
    let channels = payer.channels().await;
    let finding = match channels.iter().find(|channel| channel.key == patient.key) {
        None => Finding::good("memory", "not remembered: it will be found on chain when it is needed"),
        Some(channel) => match &channel.closing {
            Some(closing) => {
                let says = format!("being closed at {}: nothing is paid from it", closing.balance);
                Finding::bad("memory", says, "finish it: `sluice channel close` or `sluice channel settle`")
            }
            None => {
                let doubt = if channel.in_doubt { ", the last voucher is in doubt" } else { "" };
                let says = format!("{} of {} signed away{doubt}", channel.balance, channel.deposit);
                Finding::good("memory", says)
            }
        },
    };
    findings.push(finding);
}
