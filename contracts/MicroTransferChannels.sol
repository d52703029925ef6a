// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev The part of a token that channels need. It must return true; what it escrows must be what it moves.
interface IERC20 {
    function totalSupply() external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// @title Unidirectional payment channels in one token, with the ABI and the rules of µRaiden 0.2.0.
/// @notice A sender escrows a deposit for a receiver and pays by signing a growing balance off chain. The receiver may
/// withdraw what is signed so far; both together may close at once; the sender alone may close too, and then the
/// receiver has `challenge_period` blocks to answer with a better balance proof (by `cooperativeClose`).
/// @dev A channel is named by sender, receiver and the block it was opened in. No fees, no pause, no upgrade: the
/// owner's only right is to say which contracts may open and top up channels for others.
///
/// Names and events are those of the original, since its clients look them up by name. Only malformed calldata is
/// treated differently: dirty padding and missing arguments revert here, solc 0.4 masked the former and read the
/// latter as zero. A token must return a boolean, where solc 0.4 did not look at the length of an answer.
contract MicroTransferChannels {
    struct Channel {
        uint192 deposit;
        uint32 open_block_number;
    }

    struct ClosingRequest {
        uint192 closing_balance;
        uint32 settle_block_number;
    }

    /// @notice The version of the ABI and the rules, which clients compare.
    string public constant version = "0.2.0";

    /// @notice The most that one channel may hold, in base units.
    uint256 public constant channel_deposit_bugbounty_limit = 100e18;

    bytes32 private constant BALANCE_PROOF_SCHEMA =
        keccak256("string message_idaddress receiveruint32 block_createduint192 balanceaddress contract");
    bytes32 private constant CLOSING_SCHEMA =
        keccak256("string message_idaddress senderuint32 block_createduint192 balanceaddress contract");

    /// @notice Who may edit the list of trusted contracts, and nothing else.
    address public immutable owner_address;
    /// @notice How many blocks a receiver has to answer an uncooperative close. At least 500.
    uint32 public immutable challenge_period;
    /// @notice The token that all channels are in.
    IERC20 public immutable token;

    /// @notice Living channels by `getKey`. One that is settled is zero again.
    mapping(bytes32 => Channel) public channels;
    /// @notice Uncooperative closes that wait for their settlement, by `getKey`.
    mapping(bytes32 => ClosingRequest) public closing_requests;
    /// @notice Contracts that may open and top up channels on behalf of a sender.
    mapping(address => bool) public trusted_contracts;
    /// @notice What the receiver has withdrawn so far, by `getKey`. Outlives the channel.
    mapping(bytes32 => uint192) public withdrawn_balances;

    /// @notice A channel was opened; its open block is the block of this log.
    event ChannelCreated(address indexed _sender_address, address indexed _receiver_address, uint192 _deposit);
    /// @notice A channel's deposit grew by `_added_deposit`.
    event ChannelToppedUp(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _added_deposit
    );
    /// @notice The sender asked to close at `_balance`; the challenge period begins.
    event ChannelCloseRequested(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _balance
    );
    /// @notice A channel is gone: `_balance` went to the receiver in all, `_receiver_tokens` of it now.
    event ChannelSettled(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _balance,
        uint192 _receiver_tokens
    );
    /// @notice The receiver withdrew; `_withdrawn_balance` is what this withdrawal alone paid.
    event ChannelWithdraw(
        address indexed _sender_address,
        address indexed _receiver_address,
        uint32 indexed _open_block_number,
        uint192 _withdrawn_balance
    );
    /// @notice A contract is trusted from now on, or no longer.
    event TrustedContract(address indexed _trusted_contract_address, bool _trusted_status);

    modifier onlyOwner() {
        require(msg.sender == owner_address, "caller is not the owner");
        _;
    }

    modifier onlyTrusted() {
        require(trusted_contracts[msg.sender], "caller is not trusted");
        _;
    }

    /// @param _token_address The token that channels are in: a contract with a supply.
    /// @param _challenge_period In blocks, at least 500.
    /// @param _trusted_contracts See `addTrustedContracts`.
    constructor(address _token_address, uint32 _challenge_period, address[] memory _trusted_contracts) {
        require(_challenge_period >= 500, "challenge period below 500 blocks");
        require(_token_address.code.length > 0, "token without code");
        require(IERC20(_token_address).totalSupply() > 0, "token without supply");
        token = IERC20(_token_address);
        challenge_period = _challenge_period;
        owner_address = msg.sender;
        _trust(_trusted_contracts);
    }

    // ---------------------------------------------------------------------------------------------- opening, topping up

    /// @notice Opens a channel to `_receiver_address`; needs an allowance of `_deposit`, which may be 0.
    function createChannel(address _receiver_address, uint192 _deposit) external {
        _open(msg.sender, _receiver_address, _deposit);
        _collect(_deposit);
    }

    /// @notice Opens a channel of `_sender_address` with tokens of the caller, a trusted contract.
    function createChannelDelegate(address _sender_address, address _receiver_address, uint192 _deposit)
        external
        onlyTrusted
    {
        _open(_sender_address, _receiver_address, _deposit);
        _collect(_deposit);
    }

    /// @notice Adds to the deposit of the caller's channel; needs an allowance.
    function topUp(address _receiver_address, uint32 _open_block_number, uint192 _added_deposit) external {
        _topUp(msg.sender, _receiver_address, _open_block_number, _added_deposit);
        _collect(_added_deposit);
    }

    /// @notice Adds tokens of the caller, a trusted contract, to a channel of `_sender_address`.
    function topUpDelegate(
        address _sender_address,
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _added_deposit
    ) external onlyTrusted {
        _topUp(_sender_address, _receiver_address, _open_block_number, _added_deposit);
        _collect(_added_deposit);
    }

    /// @notice What an ERC-223 token calls after it moved `_deposit` here: opens or tops up.
    /// @param _sender_address Who sent the tokens: the channel's sender, or a trusted contract.
    /// @param _deposit What was sent; must fit uint192.
    /// @param _data Sender ‖ receiver (40 bytes) opens; sender ‖ receiver ‖ open block, big endian (44 bytes) tops up.
    function tokenFallback(address _sender_address, uint256 _deposit, bytes calldata _data) external {
        require(msg.sender == address(token), "caller is not the token");
        require(_deposit <= type(uint192).max, "deposit above uint192");
        require(_data.length == 40 || _data.length == 44, "data is neither 40 nor 44 bytes");
        address sender = address(bytes20(_data[:20]));
        address receiver = address(bytes20(_data[20:40]));
        require(_sender_address == sender || trusted_contracts[_sender_address], "tokens of somebody else");
        if (_data.length == 40) {
            _open(sender, receiver, uint192(_deposit));
        } else {
            _topUp(sender, receiver, uint32(bytes4(_data[40:])), uint192(_deposit));
        }
    }

    // --------------------------------------------------------------------------------------------------------- taking

    /// @notice Pays the caller, a receiver, what is signed and not withdrawn yet. The channel stays open.
    /// @param _open_block_number The channel's open block.
    /// @param _balance The signed balance, cumulative: above what was withdrawn, within the deposit.
    /// @param _balance_msg_sig The balance proof; it says who the sender is.
    function withdraw(uint32 _open_block_number, uint192 _balance, bytes calldata _balance_msg_sig) external {
        address sender = extractBalanceProofSignature(msg.sender, _open_block_number, _balance, _balance_msg_sig);
        bytes32 key = _openKey(sender, msg.sender, _open_block_number);
        uint192 withdrawn = withdrawn_balances[key];
        require(_balance <= channels[key].deposit, "balance above the deposit");
        require(_balance > withdrawn, "balance withdrawn already");

        withdrawn_balances[key] = _balance;
        _pay(msg.sender, _balance - withdrawn);
        emit ChannelWithdraw(sender, msg.sender, _open_block_number, _balance - withdrawn);
    }

    /// @notice Settles at once with both signatures. Anybody may bring them, at any time before the settlement: this
    /// is also how a receiver answers an uncooperative close.
    /// @param _balance_msg_sig The balance proof; it says who the sender is.
    /// @param _closing_sig The receiver's signature under the same balance.
    function cooperativeClose(
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _balance,
        bytes calldata _balance_msg_sig,
        bytes calldata _closing_sig
    ) external {
        address sender =
            extractBalanceProofSignature(_receiver_address, _open_block_number, _balance, _balance_msg_sig);
        address receiver = extractClosingSignature(sender, _open_block_number, _balance, _closing_sig);
        require(receiver == _receiver_address, "not the receiver's closing signature");
        _settle(sender, receiver, _open_block_number, _balance);
    }

    /// @notice The sender asks to close at `_balance`, once, without the receiver: starts the challenge period.
    function uncooperativeClose(address _receiver_address, uint32 _open_block_number, uint192 _balance) external {
        bytes32 key = _openKey(msg.sender, _receiver_address, _open_block_number);
        require(_balance <= channels[key].deposit, "balance above the deposit");
        uint256 settleBlock = block.number + challenge_period;
        require(settleBlock <= type(uint32).max, "challenge period ends above uint32");

        closing_requests[key] = ClosingRequest(_balance, uint32(settleBlock));
        emit ChannelCloseRequested(msg.sender, _receiver_address, _open_block_number, _balance);
    }

    /// @notice The sender settles at the balance it asked for, in a block after the challenge period.
    function settle(address _receiver_address, uint32 _open_block_number) external {
        ClosingRequest memory request = closing_requests[getKey(msg.sender, _receiver_address, _open_block_number)];
        require(request.settle_block_number > 0, "no close was requested");
        require(block.number > request.settle_block_number, "challenge period is not over");
        _settle(msg.sender, _receiver_address, _open_block_number, request.closing_balance);
    }

    // --------------------------------------------------------------------------------------------------------- trust

    /// @notice Lets contracts open and top up channels for others. Addresses without code are passed over.
    function addTrustedContracts(address[] memory _trusted_contracts) external onlyOwner {
        _trust(_trusted_contracts);
    }

    /// @notice Takes that right away again. Addresses that do not have it are passed over.
    function removeTrustedContracts(address[] memory _trusted_contracts) external onlyOwner {
        for (uint256 i = 0; i < _trusted_contracts.length; i++) {
            if (!trusted_contracts[_trusted_contracts[i]]) continue;
            trusted_contracts[_trusted_contracts[i]] = false;
            emit TrustedContract(_trusted_contracts[i], false);
        }
    }

    // --------------------------------------------------------------------------------------------------------- reading

    /// @notice Key, deposit, settle block (0 if no close was requested), closing balance and withdrawn balance of a
    /// living channel; reverts for any other.
    function getChannelInfo(address _sender_address, address _receiver_address, uint32 _open_block_number)
        external
        view
        returns (bytes32, uint192, uint32, uint192, uint192)
    {
        bytes32 key = getKey(_sender_address, _receiver_address, _open_block_number);
        require(channels[key].open_block_number > 0, "no such channel");
        ClosingRequest memory request = closing_requests[key];
        return (
            key,
            channels[key].deposit,
            request.settle_block_number,
            request.closing_balance,
            withdrawn_balances[key]
        );
    }

    /// @notice Who signed this balance proof.
    /// @dev The digest is that of `eth_signTypedData` as drafted in 2017, without any prefix:
    /// keccak(keccak(schema) ‖ keccak(values, packed)).
    function extractBalanceProofSignature(
        address _receiver_address,
        uint32 _open_block_number,
        uint192 _balance,
        bytes calldata _balance_msg_sig
    ) public view returns (address) {
        bytes32 values = keccak256(
            abi.encodePacked(
                "Sender balance proof signature", _receiver_address, _open_block_number, _balance, address(this)
            )
        );
        return _recover(keccak256(abi.encode(BALANCE_PROOF_SCHEMA, values)), _balance_msg_sig);
    }

    /// @notice Who signed this closing signature.
    function extractClosingSignature(
        address _sender_address,
        uint32 _open_block_number,
        uint192 _balance,
        bytes calldata _closing_sig
    ) public view returns (address) {
        bytes32 values = keccak256(
            abi.encodePacked("Receiver closing signature", _sender_address, _open_block_number, _balance, address(this))
        );
        return _recover(keccak256(abi.encode(CLOSING_SCHEMA, values)), _closing_sig);
    }

    /// @notice The name of a channel in this contract.
    function getKey(address _sender_address, address _receiver_address, uint32 _open_block_number)
        public
        pure
        returns (bytes32 data)
    {
        return keccak256(abi.encodePacked(_sender_address, _receiver_address, _open_block_number));
    }

    // --------------------------------------------------------------------------------------------------------- private

    /// @dev The second channel of one pair in one block would have the key of the first: it is refused.
    function _open(address sender, address receiver, uint192 deposit) private {
        require(deposit <= channel_deposit_bugbounty_limit, "deposit above the limit");
        bytes32 key = getKey(sender, receiver, uint32(block.number));
        require(channels[key].open_block_number == 0, "channel exists already");
        channels[key] = Channel(deposit, uint32(block.number));
        emit ChannelCreated(sender, receiver, deposit);
    }

    function _topUp(address sender, address receiver, uint32 openBlock, uint192 added) private {
        Channel storage channel = channels[_openKey(sender, receiver, openBlock)];
        require(added > 0, "nothing added");
        require(uint256(channel.deposit) + added <= channel_deposit_bugbounty_limit, "deposit above the limit");
        channel.deposit += added;
        emit ChannelToppedUp(sender, receiver, openBlock, added);
    }

    /// @dev Forgets the channel before it pays, so that nothing can be paid twice.
    function _settle(address sender, address receiver, uint32 openBlock, uint192 balance) private {
        bytes32 key = getKey(sender, receiver, openBlock);
        Channel memory channel = channels[key];
        uint192 withdrawn = withdrawn_balances[key];
        require(channel.open_block_number > 0, "no such channel");
        require(balance <= channel.deposit, "balance above the deposit");
        require(balance >= withdrawn, "balance below what was withdrawn");

        delete channels[key];
        delete closing_requests[key];
        _pay(receiver, balance - withdrawn);
        _pay(sender, channel.deposit - balance);
        emit ChannelSettled(sender, receiver, openBlock, balance, balance - withdrawn);
    }

    /// @dev The key of a channel that lives and that nobody asked to close.
    function _openKey(address sender, address receiver, uint32 openBlock) private view returns (bytes32 key) {
        key = getKey(sender, receiver, openBlock);
        require(channels[key].open_block_number > 0, "no such channel");
        require(closing_requests[key].settle_block_number == 0, "a close was requested");
    }

    function _collect(uint192 amount) private {
        require(token.transferFrom(msg.sender, address(this), amount), "token refused to collect");
    }

    function _pay(address to, uint192 amount) private {
        require(token.transfer(to, amount), "token refused to pay");
    }

    function _trust(address[] memory contracts) private {
        for (uint256 i = 0; i < contracts.length; i++) {
            if (contracts[i].code.length == 0) continue;
            trusted_contracts[contracts[i]] = true;
            emit TrustedContract(contracts[i], true);
        }
    }

    /// @dev r ‖ s ‖ v with v in {0, 1, 27, 28}. Either s is taken: balances only grow, so a second form of a signature
    /// gives nobody anything.
    function _recover(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        require(signature.length == 65, "signature is not 65 bytes");
        uint8 v = uint8(signature[64]);
        if (v < 27) v += 27;
        signer = ecrecover(digest, v, bytes32(signature[:32]), bytes32(signature[32:64]));
        require(signer != address(0), "not a signature");
    }
}
