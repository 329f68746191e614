<#
.SYNOPSIS
Makes a machine with Windows 10 or 11 a node: a Linux of its own, in WSL, that Ansible reaches by SSH.

.DESCRIPTION
Run once, in an elevated PowerShell, as the user whose WSL it is to be; again whenever something should be put right. It
brings what is missing and says it, leaves what is there, and -WhatIf changes nothing. From then on it is
  ansible-playbook toft.fleet.site
that looks after the node, as after any Linux. The files beside this one are needed: they are what runs inside WSL.

Way in: sshd inside WSL, and tailscaled too, so the node is a plain Linux to Ansible. The sshd of Windows itself leads
to another system, and is only there if -WindowsOpenSsh asks for it.

Network: WSL keeps the one of its own, and Windows passes on what comes to the port. That changes nothing for other
distributions and is the same in Windows 10 and 11. -Mirrored gives WSL the addresses of Windows (Windows 11 22H2), for
all its distributions; some have lost larger packets of Tailscale that way.

WSL ends when nobody uses it, whatever runs as a service in it. A task holds it, from the moment that the user logs on.
With -AtStartup it needs nobody to log on, which not every version of WSL allows to a task.

.PARAMETER User
The Linux user that the fleet is managed as (ansible_user in the inventory). Made if missing, with sudo and no password.

.PARAMETER KeyFile
The public key of the machine that Ansible runs on, in a file here.

.PARAMETER Distribution
As `wsl --list --online` calls it.

.PARAMETER SshPort
Of sshd inside WSL, and of Windows, which passes it on.

.PARAMETER Mtu
Of the interface of WSL. 0 leaves it as it is; with 1280, as it often is, SSH over Tailscale hangs.

.EXAMPLE
powershell -ExecutionPolicy Bypass -File bootstrap.ps1 -User marc -KeyFile C:\Users\marc\orchestrator.pub -WhatIf
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)] [string] $User,
    [string] $KeyFile = "$HOME\.ssh\id_ed25519.pub",
    [string] $Distribution = 'Debian',
    [ValidateRange(1, 65535)] [int] $SshPort = 22,
    [ValidateRange(0, 9000)] [int] $Mtu = 1500,
    [switch] $Mirrored,
    [switch] $AtStartup,
    [switch] $WindowsOpenSsh
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
# Else wsl.exe says what it says in UTF-16.
$env:WSL_UTF8 = '1'
$Bootstrap = $PSCmdlet
$UserPattern = '^[a-z_][a-z0-9_-]*$'
$KeyPattern = '^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\r\n]*)?$'
$DistributionPattern = '^[A-Za-z0-9][A-Za-z0-9._-]*$'
$Files = 'bootstrap.sh', 'wsl.sh', 'ini_set.sh', 'wsl_hold.sh', 'toft-mtu.service'
$TaskName = "toft-$Distribution"
$RuleName = 'toft-ssh'
$Registered = 'HKCU:\Software\Microsoft\Windows\CurrentVersion\Lxss\*'
# That of all of WSL, for the firewall of Hyper-V.
$WslCreator = '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}'

function Exit-With {
    param([string] $What, [string] $Fix)
    [Console]::Error.WriteLine("$What`nFix: $Fix")
    exit 1
}

# The one place where anything is changed: what is given as -Do, and only if it is not there, and not with -WhatIf.
function Invoke-Step {
    param([string] $Target, [string] $Action, [bool] $There, [scriptblock] $Do)
    if ($There) {
        Write-Host "there: $Action"
    } elseif ($Bootstrap.ShouldProcess($Target, $Action)) {
        Write-Host "bring: $Action"
        & $Do | Out-Host
    }
}

# An argv as it is; no shell of Linux reads it. The lines that it printed; $LASTEXITCODE says how it ended.
function Invoke-Wsl {
    param([string[]] $Words)
    & wsl.exe @Words | ForEach-Object { $_ -replace "`0", '' }
}

function Invoke-Inside {
    param([string[]] $Words)
    Push-Location -LiteralPath $PSScriptRoot
    try {
        Invoke-Wsl (@('--distribution', $Distribution, '--user', 'root', '--exec') + $Words)
    } finally {
        Pop-Location
    }
}

function Test-Inside {
    param([string[]] $Words)
    Invoke-Inside $Words | Out-Null
    return $LASTEXITCODE -eq 0
}

function Assert-Windows {
    $me = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
    if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        Exit-With 'This PowerShell may not change Windows.' 'open one with "Run as administrator", and run this there'
    }
    $build = [Environment]::OSVersion.Version.Build
    if ($build -lt 19041) {
        Exit-With "Windows (build $build) is too old for WSL 2, which needs 19041." 'install its updates'
    }
    if ($Mirrored -and $build -lt 22621) {
        Exit-With "Windows (build $build) cannot mirror its network; Windows 11 22H2 can." 'leave -Mirrored out'
    }
    if (-not (Get-CimInstance -ClassName Win32_ComputerSystem).HypervisorPresent) {
        $processor = Get-CimInstance -ClassName Win32_Processor | Select-Object -First 1
        if (-not $processor.VirtualizationFirmwareEnabled) {
            Exit-With 'Virtualization is off.' 'shutdown /r /fw /t 0, and turn on VT-x, AMD-V or SVM'
        }
    }
    if (-not (Get-Command -Name wsl.exe -CommandType Application -ErrorAction SilentlyContinue)) {
        Exit-With 'There is no wsl.exe.' `
            'dism /online /enable-feature /all /featurename:Microsoft-Windows-Subsystem-Linux, and a restart'
    }
}

function Assert-Parameter {
    if ($User -cnotmatch $UserPattern -or $User -eq 'root') {
        Exit-With "'$User' cannot be the user that the fleet is managed as." `
            '-User NAME, of a-z, 0-9, _ and -, and not root'
    }
    if ($Distribution -cnotmatch $DistributionPattern) {
        Exit-With "'$Distribution' is no name of a distribution." '-Distribution with a name from: wsl --list --online'
    }
    $service = Get-Service -Name sshd -ErrorAction SilentlyContinue
    if ($SshPort -eq 22 -and ($WindowsOpenSsh -or ($service -and $service.Status -eq 'Running'))) {
        Exit-With 'Port 22 is that of the sshd of Windows.' '-SshPort 2222, and ansible_port: 2222 in the inventory'
    }
}

function Assert-File {
    foreach ($name in $Files) {
        $file = Join-Path -Path $PSScriptRoot -ChildPath $name
        if (-not (Test-Path -LiteralPath $file -PathType Leaf)) {
            Exit-With "$file is missing." 'copy the whole directory that this script comes from'
        }
        if ([IO.File]::ReadAllText($file).Contains("`r")) {
            Exit-With "$file has the line ends of Windows." 'git config core.autocrlf false, and check it out again'
        }
    }
}

function Get-PublicKey {
    $key = ''
    if (Test-Path -LiteralPath $KeyFile -PathType Leaf) {
        $key = [string] (Get-Content -LiteralPath $KeyFile -Raw)
    }
    $key = $key.Trim()
    if ($key -cnotmatch $KeyPattern) {
        Exit-With "$KeyFile holds no public key." `
            'copy ~/.ssh/id_ed25519.pub here from the machine that Ansible runs on, and name it: -KeyFile FILE'
    }
    # PowerShell 5.1 does not pass these on as they are; only a comment can have them.
    return $key -replace '["\\]', '_'
}

# wsl.exe waits for a key where there is no WSL yet, and lists in the language of Windows.
function Test-Distribution {
    $known = Get-ItemProperty -Path $Registered -Name DistributionName -ErrorAction SilentlyContinue
    return @($known | ForEach-Object { $_.DistributionName }) -contains $Distribution
}

function Install-Distribution {
    Invoke-Step 'WSL' "the distribution $Distribution" (Test-Distribution) {
        Invoke-Wsl '--install', '--no-launch', '-d', $Distribution
        if ($LASTEXITCODE -ne 0) {
            Exit-With "wsl --install ended with $LASTEXITCODE." 'wsl --update; is the name in wsl --list --online?'
        }
    }
    if (-not (Test-Distribution) -and -not $WhatIfPreference) {
        Exit-With "$Distribution is not there before the next start of Windows." `
            "Restart-Computer, and run this again; if it is the same then, start $Distribution once from the Start menu"
    }
}

# A script of those beside this one, which says itself what is missing, and with `do` brings it.
function Invoke-Script {
    param([string] $Script, [string[]] $Words)
    $missing = @(Invoke-Inside (@('sh', "./$Script", 'look') + $Words) | Where-Object { $_ -like 'bring: *' })
    if ($LASTEXITCODE -ne 0) {
        Exit-With "$Script could not look inside $Distribution." "wsl --distribution $Distribution; what does it say?"
    }
    $what = ($missing -replace '^bring: ', '') -join ', '
    if (-not $what) { $what = "all that $Script brings" }
    Invoke-Step $Distribution $what ($missing.Count -eq 0) {
        Invoke-Inside (@('sh', "./$Script", 'do') + $Words)
        if ($LASTEXITCODE -ne 0) {
            Exit-With "$Script ended with $LASTEXITCODE." 'put right what it said above, and run this again'
        }
    }
}

function Install-Node {
    param([string] $Key)
    $settings = '-'
    if ($Mirrored) { $settings = ($env:USERPROFILE -replace '\\', '/') + '/.wslconfig' }
    Invoke-Script 'bootstrap.sh' $User, $Key
    Invoke-Script 'wsl.sh' "$SshPort", "$Mtu", $settings
    if ($Mirrored) {
        $mode = @(Invoke-Inside 'wslinfo', '--networking-mode') -contains 'mirrored'
        Invoke-Step 'all of WSL' 'a new start, with the mirrored network' $mode { Invoke-Wsl '--shutdown' }
    }
    $systemd = Test-Inside 'test', '-d', '/run/systemd/system'
    Invoke-Step $Distribution 'a new start, with systemd' $systemd { Invoke-Wsl '--terminate', $Distribution }
}

function Add-FirewallRule {
    $rule = Get-NetFirewallRule -Name $RuleName -ErrorAction SilentlyContinue
    $there = $rule -and ($rule | Get-NetFirewallPortFilter).LocalPort -eq "$SshPort"
    Invoke-Step 'the firewall' "port $SshPort for SSH" $there {
        if ($rule) { Remove-NetFirewallRule -Name $RuleName }
        New-NetFirewallRule -Name $RuleName -DisplayName 'SSH into WSL (toft)' -Direction Inbound -Protocol TCP `
            -LocalPort $SshPort -Action Allow -Profile 'Domain', 'Private'
    }
    # Windows 11 has a second one, for what WSL itself answers.
    if (-not (Get-Command -Name New-NetFirewallHyperVRule -ErrorAction SilentlyContinue)) { return }
    $inner = Get-NetFirewallHyperVRule -Name $RuleName -ErrorAction SilentlyContinue
    $there = $inner -and $inner.LocalPorts -contains "$SshPort"
    Invoke-Step 'the firewall of WSL' "port $SshPort for SSH" $there {
        if ($inner) { Remove-NetFirewallHyperVRule -Name $RuleName }
        New-NetFirewallHyperVRule -Name $RuleName -DisplayName 'SSH into WSL (toft)' -Direction Inbound `
            -VMCreatorId $WslCreator -Protocol TCP -LocalPorts $SshPort -Action Allow
    }
}

function Add-HoldTask {
    $me = [Security.Principal.WindowsIdentity]::GetCurrent().Name
    $words = "--distribution $Distribution --user root --exec /usr/local/libexec/toft-hold $SshPort"
    if ($AtStartup) {
        # The wsl.exe of Windows itself is only a way to this one, which a task without a desktop cannot go.
        $program = Join-Path -Path $env:ProgramFiles -ChildPath 'WSL\wsl.exe'
        if (-not (Test-Path -LiteralPath $program)) { $program = 'wsl.exe' }
        $logon = 'S4U'
    } else {
        # Without a window that somebody could close.
        $program = 'conhost.exe'
        $words = "--headless wsl.exe $words"
        $logon = 'Interactive'
    }
    $task = Get-ScheduledTask -TaskName $TaskName -ErrorAction SilentlyContinue
    $there = $task -and $task.Actions[0].Execute -eq $program -and $task.Actions[0].Arguments -eq $words
    Invoke-Step $TaskName 'the task that keeps WSL running' $there {
        $action = New-ScheduledTaskAction -Execute $program -Argument $words
        if ($AtStartup) {
            $trigger = New-ScheduledTaskTrigger -AtStartup
        } else {
            $trigger = New-ScheduledTaskTrigger -AtLogOn -User $me
        }
        # May tell Windows which address to pass the port on to. No limit: that of tasks is three days.
        $principal = New-ScheduledTaskPrincipal -UserId $me -LogonType $logon -RunLevel Highest
        $settings = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 999 `
            -RestartInterval (New-TimeSpan -Minutes 1) -MultipleInstances IgnoreNew -StartWhenAvailable `
            -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
        Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger $trigger -Principal $principal `
            -Settings $settings -Force
    }
    $task = Get-ScheduledTask -TaskName $TaskName -ErrorAction SilentlyContinue
    $runs = $there -and $task -and $task.State -eq 'Running'
    Invoke-Step $TaskName 'its start' $runs {
        if ($task.State -eq 'Running') { Stop-ScheduledTask -TaskName $TaskName }
        Start-ScheduledTask -TaskName $TaskName
    }
}

function Install-WindowsOpenSsh {
    param([string] $Key)
    $capability = Get-WindowsCapability -Online -Name 'OpenSSH.Server*' | Select-Object -First 1
    Invoke-Step 'Windows' 'its own OpenSSH server' ($capability.State -eq 'Installed') {
        Add-WindowsCapability -Online -Name $capability.Name
    }
    $service = Get-Service -Name sshd -ErrorAction SilentlyContinue
    $there = $service -and $service.Status -eq 'Running' -and $service.StartType -eq 'Automatic'
    Invoke-Step 'sshd of Windows' 'its start' $there {
        Set-Service -Name sshd -StartupType Automatic
        Start-Service -Name sshd
    }
    # Where it looks for the keys of all who may change Windows.
    $keys = Join-Path -Path $env:ProgramData -ChildPath 'ssh\administrators_authorized_keys'
    $known = (Test-Path -LiteralPath $keys) -and @(Get-Content -LiteralPath $keys) -ccontains $Key
    Invoke-Step 'sshd of Windows' 'the key' $known {
        Add-Content -LiteralPath $keys -Value $Key -Encoding Ascii
        # It does not take the file if others may write it: Administrators and SYSTEM, whatever their names are here.
        & icacls.exe $keys '/inheritance:r' '/grant' '*S-1-5-32-544:F' '/grant' '*S-1-5-18:F'
    }
}

function Assert-Answer {
    for ($attempt = 1; $attempt -le 30; $attempt++) {
        if (Test-NetConnection -ComputerName localhost -Port $SshPort -InformationLevel Quiet) {
            Write-Host "Done. In the inventory, with the address of this machine:"
            Write-Host "  ${env:COMPUTERNAME}: {ansible_host: ADDRESS, ansible_port: $SshPort, ansible_user: $User}"
            return
        }
        Start-Sleep -Seconds 1
    }
    Exit-With "sshd inside $Distribution does not answer on port $SshPort." `
        "wsl --distribution $Distribution --user root --exec systemctl status ssh"
}

Assert-Windows
Assert-Parameter
Assert-File
$Key = Get-PublicKey
Install-Distribution
if (Test-Distribution) { Install-Node $Key }
Add-FirewallRule
Add-HoldTask
if ($WindowsOpenSsh) { Install-WindowsOpenSsh $Key }
if (-not $WhatIfPreference) { Assert-Answer }
