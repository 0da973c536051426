using System.Net;
using System.Net.Sockets;
using CaptionService.Browser.Tests;
using CaptionService.Tests;
using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using Microsoft.Playwright;
using Xunit.Sdk;
using Xunit.v3;

[assembly: AssemblyFixture(typeof(Studio))]
[assembly: Parallelization(Mode = ParallelMode.None)]   // the tests share two cores with the model

namespace CaptionService.Browser.Tests;

/// <summary>The service on a real port with the models it is shipped with, a page of another origin, and Chromium. One for all tests.</summary>
public sealed class Studio : IAsyncLifetime
{
    private static readonly string? s_chromium = new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome" }.FirstOrDefault(File.Exists);

    private readonly Factory _factory;
    private readonly WebApplication _other;
    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public Studio()
    {
        OtherOrigin = $"http://localhost:{FreePort()}";
        _factory = new Factory(OtherOrigin);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls(OtherOrigin);
        builder.Logging.ClearProviders();
        _other = builder.Build();
        _other.MapGet("/", () => Results.Text("<!doctype html><title>Another page</title>", "text/html"));
        _other.MapGet("/captions.html", () => Results.Text(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "samples", "captions.html")), "text/html"));
    }

    /// <summary>Where the service is, with a slash at the end.</summary>
    public string Address { get; private set; } = "";

    /// <summary>Where the page of another origin is, which the service allows to call.</summary>
    public string OtherOrigin { get; }

    public static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The path of a sample.</summary>
    public static string Sample(string name) => Path.Combine(AppContext.BaseDirectory, "samples", name + ".jpg");

    public async ValueTask InitializeAsync()
    {
        if (s_chromium is null)
        {
            return;
        }
        Address = await _factory.Start();
        await _other.StartAsync();
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = s_chromium, Args = ["--no-sandbox"] });
    }

    /// <summary>A page in a browser of its own: its language, colours and size.</summary>
    public async Task<Visit> Open(string view = "", string locale = "en-US", bool dark = false, bool telephone = false)
    {
        Assert.SkipWhen(_browser is null, "There is no Chromium here: apt-get install chromium.");
        IBrowserContext context = await _browser.NewContextAsync(new()
        {
            BaseURL = Address,
            Locale = locale,
            ColorScheme = dark ? ColorScheme.Dark : ColorScheme.Light,
            ViewportSize = telephone ? new() { Width = 360, Height = 740 } : new() { Width = 1280, Height = 900 },
            HasTouch = telephone,
            IsMobile = telephone,
            Permissions = ["clipboard-read", "clipboard-write"],
        });
        var visit = new Visit(context, await context.NewPageAsync());
        await visit.Page.GotoAsync(Address + view);
        return visit;
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
        }
        _playwright?.Dispose();
        await _other.DisposeAsync();
        await _factory.DisposeAsync();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private sealed class Factory : WebApplicationFactory<Program>
    {
        private readonly string _storage = Directory.CreateTempSubdirectory("captionservice-").FullName;
        private readonly string _origin;

        public Factory(string origin)
        {
            _origin = origin;
            UseKestrel(0);
        }

        public async Task<string> Start()
        {
            StartServer();
            using HttpClient client = CreateClient();
            while (!(await client.GetAsync("/health/ready")).IsSuccessStatusCode)
            {
                await Task.Delay(100);
            }
            return client.BaseAddress!.ToString();
        }

        protected override void ConfigureWebHost(IWebHostBuilder builder) => builder.UseSetting("Serilog:MinimumLevel:Default", "Fatal")
            .UseSetting("Storage:Folder", _storage).UseSetting("Cors:Origins:0", _origin).UseSetting("Datasets:Estimate", "false").UseSetting("Training:Threads", "1").UseSetting("Feedback:Enabled", "true");

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            SqliteConnection.ClearAllPools();
            Directory.Delete(_storage, recursive: true);
        }
    }
}

/// <summary>One page, and what its console said.</summary>
public sealed class Visit : IAsyncDisposable
{
    private static readonly string s_screenshots = Directory.CreateDirectory(Path.Combine(Repository.Root, "artifacts", "screenshots")).FullName;

    private readonly IBrowserContext _context;

    public Visit(IBrowserContext context, IPage page)
    {
        (_context, Page) = (context, page);
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning")
            {
                Errors.Add(message.Text);
            }
        };
        page.PageError += (_, error) => Errors.Add(error);
        page.SetDefaultTimeout(120_000);
    }

    public IPage Page { get; }

    /// <summary>Errors and warnings of the console.</summary>
    public List<string> Errors { get; } = [];

    public ILocator this[string selector] => Page.Locator(selector);

    /// <summary>Goes to another view.</summary>
    public async Task To(string view)
    {
        await Page.EvaluateAsync("view => { location.hash = view; }", view);
        await this["h1"].First.WaitForAsync();
    }

    /// <summary>Takes a picture to be looked at: <c>artifacts/screenshots</c>.</summary>
    public async Task Screenshot(string name, bool whole = true)
    {
        if (whole)
        {
            await Page.EvaluateAsync("() => scrollTo(0, 0)");        // the header sticks to where the page was scrolled to
        }
        await Page.ScreenshotAsync(new() { Path = Path.Combine(s_screenshots, name + ".png"), FullPage = whole, Animations = ScreenshotAnimations.Disabled });
    }

    /// <summary>How much wider the page is than its window.</summary>
    private Task<int> Overflow() => Page.EvaluateAsync<int>("() => document.documentElement.scrollWidth - document.documentElement.clientWidth");

    /// <summary>What keeps people from reading the page as it is now: serious findings of axe, and text beyond the window's edge.</summary>
    public async Task<string[]> Faults()
    {
        AxeResult found = await Page.RunAxe();
        int overflow = await Overflow();
        IEnumerable<string> serious = found.Violations.Where(violation => violation.Impact is "serious" or "critical")
            .SelectMany(violation => violation.Nodes.Select(node => $"{violation.Id}: {node.Html}"));
        return overflow > 0 ? [.. serious, $"{overflow} pixels too wide"] : [.. serious];
    }

    public ValueTask DisposeAsync() => _context.DisposeAsync();
}
