using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace CaptionService.Api.Tests.Fetch;

/// <summary>A service that fetches from public addresses and from 127.0.0.2, where a server with photos stands; at 127.0.0.1 nobody may call.</summary>
public sealed class FetchingService(ShippedSmall shipped) : IAsyncLifetime
{
    private ServiceFactory? _factory;
    private WebApplication? _photos;
    private int _failures;

    public HttpClient Client { get; private set; } = null!;

    /// <summary>Where the photos are.</summary>
    public string Address { get; private set; } = "";

    /// <summary>Cookies, credentials and referrers that came with requests for photos.</summary>
    public List<string> Told { get; } = [];

    public async ValueTask InitializeAsync()
    {
        byte[] cat = Photos.Sample("cat");
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.2:0");
        _photos = builder.Build();
        _photos.Use((http, next) =>
        {
            Told.AddRange(http.Request.Headers.Where(header => header.Key is "Cookie" or "Authorization" or "Referer" or "X-Forwarded-For").Select(header => $"{header.Key}: {header.Value}"));
            http.Response.Headers.SetCookie = "who=you";
            return next(http);
        });
        _photos.MapGet("/cat.jpg", () => Results.Bytes(cat, "image/jpeg"));
        _photos.MapGet("/page", () => Results.Content("<html>", "text/html"));
        _photos.MapGet("/to", (string url) => Results.Redirect(url));
        _photos.MapGet("/hops/{count}", (int count) => Results.Redirect(count == 0 ? "/cat.jpg" : $"/hops/{count - 1}"));
        _photos.MapGet("/large", (HttpContext http) => Body(http, 30));
        _photos.MapGet("/slow", async (HttpContext http) =>
        {
            await http.Response.Body.WriteAsync(cat.AsMemory(0, 100));
            await http.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, http.RequestAborted);
        });
        _photos.MapGet("/third-time", () => Interlocked.Increment(ref _failures) % 3 == 0 ? Results.Bytes(cat) : Results.StatusCode(503));
        await _photos.StartAsync();
        Address = _photos.Urls.Single();
        _factory = new ServiceFactory(host => host.UseSetting(ShippedSmall.Setting, shipped.Folder)
            .UseSetting("Fetch:Enabled", "true").UseSetting("Fetch:AllowedNetworks:0", "127.0.0.2/32").UseSetting("Fetch:Timeout", "00:00:03"));
        Client = await _factory.Start(ready: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _factory!.DisposeAsync();
        await _photos!.DisposeAsync();
    }

    // Without a length, so that only reading finds out.
    private static async Task Body(HttpContext http, int megabytes)
    {
        for (int i = 0; i < megabytes; i++)
        {
            await http.Response.Body.WriteAsync(new byte[1_000_000]);
        }
    }
}

/// <summary>Photos by their address: what the service may reach, and what nobody can make it reach.</summary>
public sealed class FetchTests(FetchingService service, Service standard) : IClassFixture<FetchingService>
{
    // Every one leads to this machine, to its network, or to nothing that is public. $ is the port of the trap.
    private static readonly string[] s_inside =
    [
        "http://127.0.0.1:$/", "http://127.0.0.1:$/cat.jpg", "http://localhost:$/", "http://LOCALHOST:$/", "http://localhost.:$/", "http://localhost.localdomain:$/", "http://ip6-localhost:$/",
        "http://127.1:$/", "http://127.0.1:$/", "http://0x7f.0.0.1:$/", "http://0x7f000001:$/", "http://0x7F.0x00.0x00.0x01:$/", "http://2130706433:$/", "http://017700000001:$/",
        "http://0177.0.0.1:$/", "http://0177.0000.0000.0001:$/", "http://127.0.0.1.:$/", "http://127.000.000.001:$/", "http://0:$/", "http://0.0.0.0:$/", "http://00000000:$/", "http://0x0:$/",
        "http://127.0.0.3:$/", "http://127.127.127.127:$/", "http://127.255.255.254:$/", "http://1２7.0.0.1:$/", "http://①②⑦.⓪.⓪.①:$/", "http://127。0。0。1:$/", "http://127%2e0%2e0%2e1:$/", "http://%31%32%37.0.0.1:$/",
        "http://[::1]:$/", "http://[0:0:0:0:0:0:0:1]:$/", "http://[0000:0000:0000:0000:0000:0000:0000:0001]:$/", "http://[::]:$/", "http://[::127.0.0.1]:$/", "http://[::ffff:127.0.0.1]:$/",
        "http://[::ffff:7f00:1]:$/", "http://[0:0:0:0:0:ffff:127.0.0.1]:$/", "http://[::FFFF:7F00:0001]:$/", "http://[::ffff:0:127.0.0.1]:$/", "http://[64:ff9b::7f00:1]:$/", "http://[64:ff9b::127.0.0.1]:$/",
        "http://[64:ff9b:1::7f00:1]:$/", "http://[2002:7f00:1::]:$/", "http://[2002:7f00:0001::1]:$/", "http://[2001:0:7f00:1::]:$/", "http://[fe80::1]:$/", "http://[fe80::1%25lo]:$/", "http://[fec0::1]:$/",
        "http://[fc00::1]:$/", "http://[fd00:ec2::254]/latest/meta-data/", "http://[ff02::1]:$/", "http://[100::1]:$/", "http://[2001:db8::1]:$/", "http://[::1%25lo]:$/",
        "http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.0.1/", "http://192.168.255.255/", "http://100.64.0.1/", "http://100.127.255.254/",
        "http://169.254.169.254/latest/meta-data/", "http://169.254.1.1/", "http://0xa9fea9fe/", "http://2852039166/", "http://0251.0376.0251.0376/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/",
        "http://168.63.129.16/", "http://192.0.0.1/", "http://192.0.2.1/", "http://198.18.0.1/", "http://198.51.100.1/", "http://203.0.113.1/", "http://224.0.0.1/", "http://239.255.255.255/", "http://240.0.0.1/",
        "http://255.255.255.255/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a00:1::]/", "https://127.0.0.1:$/", "HTTP://127.0.0.1:$/", "http://127.0.0.1:$#@example.org/",
        "http://example.org@127.0.0.1:$/", "http://user:secret@127.0.0.2/", "http://127.0.0.1:$\\@example.org/", "http:\\\\127.0.0.1:$/", "http:///127.0.0.1:$/", "http:127.0.0.1:$/",
        "ftp://127.0.0.1:$/", "file:///etc/passwd", "gopher://127.0.0.1:$/", "data:image/png;base64,AAAA", "unix:///var/run/docker.sock", "//127.0.0.1:$/", "/etc/passwd", "http://", "", " ",
    ];

    [Fact]
    public async Task No_spelling_of_an_inner_address_is_connected_to()
    {
        using var four = new Trap(IPAddress.Any);
        using var six = new Trap(IPAddress.IPv6Any, four.Port);
        Assert.InRange(s_inside.Length, 80, int.MaxValue);
        foreach (string url in s_inside.Select(form => form.Replace("$", $"{four.Port}", StringComparison.Ordinal)))
        {
            // As the first address, and as one that an allowed server leads to.
            Answer answer = await ByJson(url);
            Assert.True(answer.Status is 400 or 422 && (string?)answer.Body["code"] is "url_refused" or "fetch_failed", $"{url}: {answer.Body.ToJsonString()}");
            Answer led = await ByJson($"{service.Address}/to?url={Uri.EscapeDataString(url)}");
            Assert.True((string?)led.Body["code"] is "url_refused" or "fetch_failed", $"led to {url}: {led.Body.ToJsonString()}");
            Assert.DoesNotContain("127.0.0.1", led.Body.ToJsonString(), StringComparison.Ordinal);      // what is inside is not told
        }
        Assert.Equal((0, 0), (four.Connections, six.Connections));
    }

    [Fact]
    public async Task Photos_are_fetched_whichever_way_they_are_named()
    {
        string url = service.Address + "/cat.jpg", best = (await Answer.To(service.Client, "/captions", Service.Bytes(Photos.Sample("cat")))).Best();

        Assert.Equal(best, (await ByJson(url)).Best());
        Assert.Equal(best, (await Answer.To(service.Client, "/captions", Json($$"""{"images":["{{url}}"]}"""))).Best());
        Assert.Equal(best, (await Answer.To(service.Client, "/captions?url=" + Uri.EscapeDataString(url), new ByteArrayContent([]))).Best());
        Answer form = await Answer.To(service.Client, "/captions", Service.Form([("mine.jpg", Photos.Sample("coffee"))], ("url", url), ("url", service.Address + "/page")));
        Assert.Equal(["mine.jpg", null, null], form.Results.Select(result => (string?)result!["name"]));
        Assert.Equal(best, form.Best(1));
        Assert.Equal("not_a_photo", (string?)form.Results[2]!["problem"]!["code"]);
        Assert.Equal(best, (await ByJson(service.Address + "/hops/2")).Best());
        Assert.Equal(best, (await ByJson(service.Address + "/third-time")).Best());
        Assert.Empty(service.Told);
    }

    [Fact]
    public async Task What_cannot_be_fetched_is_told_and_ends()
    {
        (await ByJson(service.Address + "/nothing")).IsProblem(422, "fetch_failed");
        (await ByJson(service.Address + "/hops/3")).IsProblem(422, "fetch_failed");
        (await ByJson(service.Address + "/large")).IsProblem(413, "too_many_bytes");
        (await ByJson(service.Address + "/slow")).IsProblem(422, "fetch_failed");
        (await ByJson("http://127.0.0.2:1/")).IsProblem(422, "fetch_failed");
        Answer many = await Answer.To(service.Client, "/captions?" + string.Join('&', Enumerable.Repeat("url=http://127.0.0.1/", 17)), new ByteArrayContent([]));
        many.IsProblem(400, "too_many_photos");
    }

    [Fact]
    public async Task A_service_fetches_nothing_unless_it_is_told_to()
    {
        using var trap = new Trap(IPAddress.Loopback);
        (await standard.CaptionJson($$"""{"images":[{"url":"http://127.0.0.1:{{trap.Port}}/"}]}""")).IsProblem(403, "fetch_disabled");
        (await Answer.To(standard.Client, $"/captions?url=http://127.0.0.1:{trap.Port}/", new ByteArrayContent([]))).IsProblem(403, "fetch_disabled");
        Assert.Equal(0, trap.Connections);
    }

    private Task<Answer> ByJson(string url) => Answer.To(service.Client, "/captions", Json(new JsonObject { ["images"] = new JsonArray(new JsonObject { ["url"] = url }) }.ToJsonString()));

    private static StringContent Json(string json) => new(json, new System.Net.Http.Headers.MediaTypeHeaderValue("application/json"));

    /// <summary>Counts who connects.</summary>
    private sealed class Trap : IDisposable
    {
        private readonly Socket _socket;

        public Trap(IPAddress address, int port = 0)
        {
            _socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (address.AddressFamily == AddressFamily.InterNetworkV6)
            {
                _socket.DualMode = false;
            }
            _socket.Bind(new IPEndPoint(address, port));
            _socket.Listen();
            Port = ((IPEndPoint)_socket.LocalEndPoint!).Port;
        }

        public int Port { get; }

        // Whoever connected waits to be taken.
        public int Connections
        {
            get
            {
                int count = 0;
                while (_socket.Poll(0, SelectMode.SelectRead))
                {
                    _socket.Accept().Dispose();
                    count++;
                }
                return count;
            }
        }

        public void Dispose() => _socket.Dispose();
    }
}
